package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// difference is the first place where two JSON texts differ, in the order of keys; empty where they say the same.
func difference(was, is []byte) (string, error) {
	a, err := decode(was)
	if err != nil {
		return "", err
	}
	b, err := decode(is)
	if err != nil {
		return "", err
	}
	return differ("", a, b), nil
}

func decode(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return v, d.Decode(&v)
}

func differ(path string, was, is any) string {
	switch a := was.(type) {
	case map[string]any:
		if b, ok := is.(map[string]any); ok {
			return differKeys(path, a, b)
		}
	case []any:
		if b, ok := is.([]any); ok {
			return differItems(path, a, b)
		}
	default:
		if was == is {
			return ""
		}
	}
	return fmt.Sprintf("%s was %v, now is %v", path, was, is)
}

func differKeys(path string, was, is map[string]any) string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(was)), maps.Keys(is))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		within := key
		if path != "" {
			within = path + "." + key
		}
		if d := differ(within, was[key], is[key]); d != "" {
			return d
		}
	}
	return ""
}

func differItems(path string, was, is []any) string {
	for i := range min(len(was), len(is)) {
		if d := differ(fmt.Sprintf("%s[%d]", path, i), was[i], is[i]); d != "" {
			return d
		}
	}
	if len(was) != len(is) {
		return fmt.Sprintf("%s had %d entries, now has %d", path, len(was), len(is))
	}
	return ""
}

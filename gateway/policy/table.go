package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// table reads one table of a document key by key. A key of the wrong kind is noted as a problem and reads as absent, so
// that reading goes on to the next one; a key that nobody read is a problem when the table is finished.
type table struct {
	notes   *notes
	path    string // "reader[2]"; empty: the document
	private bool   // is about a person: its values are not repeated in problems
	keys    map[string]any
	known   []string
}

// notes gathers problems by path; lines are added when all are known.
type notes struct{ found []note }

type note struct{ path, what string }

func (t *table) note(key, format string, args ...any) {
	t.notes.found = append(t.notes.found, note{join(t.path, key), fmt.Sprintf(format, args...)})
}

// join keeps paths in the form that lines uses too.
func join(path, key string) string {
	if path == "" || key == "" {
		return path + key
	}
	return path + "." + key
}

// quote repeats a value in a problem, where it may be repeated.
func (t *table) quote(value string) string {
	if t.private {
		return "this"
	}
	if r := []rune(value); len(r) > 40 {
		value = string(r[:40]) + "…"
	}
	return fmt.Sprintf("%q", value)
}

// read takes a key of kind T; ok is false where it is absent or of another kind.
func read[T any](t *table, key, kind string) (value T, ok bool) {
	t.known = append(t.known, key)
	raw, present := t.keys[key]
	if !present {
		return value, false
	}
	if value, ok = raw.(T); !ok {
		t.note(key, "must be %s", kind)
	}
	return value, ok
}

func (t *table) missing(key, remedy string) {
	if _, present := t.keys[key]; !present {
		t.note(key, "is missing: %s", remedy)
	}
}

func (t *table) flag(key string) bool {
	b, _ := read[bool](t, key, "true or false")
	return b
}

func (t *table) moment(key string) time.Time {
	at, _ := read[time.Time](t, key, "a moment with its offset from UTC, like 2027-01-31T20:00:00+01:00")
	return at
}

// texts reads a list of text; ok says that the key is there and is one.
func (t *table) texts(key string) (out []string, ok bool) {
	const kind = `a list of text, like ["…", "…"]`
	list, ok := read[[]any](t, key, kind)
	for _, v := range list {
		s, isText := v.(string)
		if !isText {
			t.note(key, "must be %s", kind)
			return nil, false
		}
		out = append(out, s)
	}
	return out, ok
}

// child reads a table inside; an absent one reads as empty.
func (t *table) child(key string) *table {
	keys, _ := read[map[string]any](t, key, "a table, like ["+join(t.path, key)+"]")
	return &table{notes: t.notes, path: join(t.path, key), private: t.private, keys: keys}
}

// list reads an array of tables.
func (t *table) list(key string) []*table {
	kind := "a list of tables, each headed [[" + key + "]]"
	items, _ := read[[]any](t, key, kind)
	var out []*table
	for i, v := range items {
		path := fmt.Sprintf("%s[%d]", join(t.path, key), i+1)
		keys, ok := v.(map[string]any)
		if !ok {
			t.notes.found = append(t.notes.found, note{path, "must be a table: " + key + " is " + kind})
			continue
		}
		out = append(out, &table{notes: t.notes, path: path, keys: keys})
	}
	return out
}

// finish notes every key that nobody asked for.
func (t *table) finish() {
	for _, key := range slices.Sorted(maps.Keys(t.keys)) {
		if slices.Contains(t.known, key) {
			continue
		}
		what := "is not known here; the keys are " + strings.Join(t.known, ", ")
		if t.private {
			t.note("", "has a key that %s", what)
			continue
		}
		t.note(key, "%s", what)
	}
}

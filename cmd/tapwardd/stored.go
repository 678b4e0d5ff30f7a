package main

import (
	"fmt"
	"io"
	"os"

	"tapward/gateway"
	"tapward/gateway/policy"
	"tapward/gateway/store"
)

// storedPolicy is the policy that the database holds; the zero Snapshot, which denies everything, where it has none.
func storedPolicy(stored store.Stored, ward string, key gateway.BadgeKey) (policy.Snapshot, error) {
	if stored.Policy == nil {
		return policy.Snapshot{}, nil
	}
	doc, err := policy.Parse(stored.Policy)
	if err != nil {
		return policy.Snapshot{}, fmt.Errorf("read the stored policy: %w", err)
	}
	s := policy.New(doc, ward, key)
	if !s.Loaded() {
		return s, fmt.Errorf("read the stored policy: it has no ward %q; is the configuration's ward right?", ward)
	}
	return s, nil
}

// trace is the file that steps are written to, or nothing.
type trace struct{ file *os.File }

func openTrace(path string) (trace, error) {
	if path == "" {
		return trace{}, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return trace{}, fmt.Errorf("open trace: %w", err)
	}
	return trace{f}, nil
}

func (t trace) writer() io.Writer {
	if t.file == nil {
		return nil
	}
	return t.file
}

func (t trace) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"tapward/gateway"
	"tapward/gateway/policy"
	"tapward/gateway/store"
)

// storedPolicy is the policy that the database holds. Where it has none that can be used, the box opens all the same with
// one that denies everything: phones can be returned, and a policy can be loaded. What the hospital revoked holds for it
// and for every policy to come.
func storedPolicy(stored store.Stored, ward string, key gateway.BadgeKey, log *slog.Logger) policy.Snapshot {
	return loadedPolicy(stored, ward, key, log).Revoke(stored.Revocations)
}

func loadedPolicy(stored store.Stored, ward string, key gateway.BadgeKey, log *slog.Logger) policy.Snapshot {
	if stored.PolicyDamage != nil {
		log.Error("The policy is damaged: nobody is let in until one is loaded", "err", stored.PolicyDamage)
	}
	if stored.Policy == nil {
		return policy.Snapshot{}
	}
	doc, err := policy.Parse(stored.Policy)
	if err != nil {
		log.Error("The stored policy cannot be read: nobody is let in until one is loaded", "err", err)
		return policy.Snapshot{}
	}
	s := policy.New(doc, ward, key)
	if !s.Loaded() {
		log.Error("The stored policy does not have this box's ward: is the configuration right?", "ward", ward)
	}
	return s
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

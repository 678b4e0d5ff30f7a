package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/kernel"
	"tapward/gateway/policy"
	"tapward/gateway/session"
	"tapward/gateway/store"
)

// store makes doc the policy of a box that does not run, under its database's lock, in one transaction with its leaf and
// with the end of the sessions of people who may no longer act. It returns the database's path.
func (c policyLoad) store(ctx context.Context, text []byte, doc policy.Document) (path string, err error) {
	if err := mine(c.Data); err != nil {
		return "", fmt.Errorf("load policy: %w", err)
	}
	path = filepath.Join(c.Data, store.DatabaseFile)
	db, err := store.Open(ctx, store.Config{Path: path, Box: c.Name, Create: c.Create})
	if err != nil {
		return "", fmt.Errorf("load policy: %w (where the box runs, leave --data out; where it is new, give --create)", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	stored, err := db.Load(ctx)
	if err != nil {
		return "", err
	}
	before, err := inForce(stored, c.Ward)
	if err != nil {
		return "", err
	}
	next, err := before.Succeed(doc, c.Ward, gateway.BadgeKey{})
	if err != nil {
		return "", err
	}
	state, entries := replacePolicy(stored, before, next, time.Now())
	if _, err := db.Commit(ctx, state, entries, gateway.LoadPolicy{Document: text}); err != nil {
		if errors.Is(err, gateway.ErrStorageFull) {
			return "", fmt.Errorf("load policy: nothing was changed: %w", err)
		}
		return "", fmt.Errorf("load policy: it may or may not be stored; start the box and look at its status: %w", err)
	}
	return path, nil
}

// inForce is the stored policy. The badge key is for taps, and there are none here.
func inForce(stored store.Stored, ward string) (policy.Snapshot, error) {
	if stored.Policy == nil {
		return policy.Snapshot{}, nil
	}
	doc, err := policy.Parse(stored.Policy)
	if err != nil {
		return policy.Snapshot{}, fmt.Errorf("read the stored policy: %w", err)
	}
	return policy.New(doc, ward, gateway.BadgeKey{}), nil
}

// replacePolicy is what the engine does about a new policy, but for the commands to phones: the box sends those when it
// starts and finds the releases pending.
func replacePolicy(stored store.Stored, before, next policy.Snapshot, now time.Time) (session.State, []audit.Entry) {
	entry := func(r gateway.Record) audit.Entry {
		r.At = now
		if r.Policy.IsZero() {
			r.Policy = next.Digest()
		}
		return audit.Entry{Record: r, At: now, Clock: kernel.Clock(), Boot: stored.Boot, Uptime: kernel.Uptime(),
			Machine: string(stored.State.Box), PolicySigned: next.Signed()}
	}
	state, entries := stored.State, []audit.Entry{entry(gateway.Record{
		Kind: gateway.PolicyLoaded, Policy: next.Digest(), State: fmt.Sprintf("version-%d", next.Version()), Operator: operator(),
	})}
	barred := next.Barred(before, now)
	if len(barred) == 0 {
		return state, entries
	}
	state, effects := session.Step(state, session.Barred{At: now, Clinicians: barred})
	for _, eff := range effects {
		if r, ok := eff.(*session.Record); ok {
			entries = append(entries, entry(r.Record))
		}
	}
	return state, entries
}

// operator is who runs this, as the operating system knows them.
func operator() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

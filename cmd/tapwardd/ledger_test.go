package main

import (
	"fmt"
	"sync"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/phone/agent"
)

// ledger is what people and machines outside the box were shown or told. All of it must stand in the log, whatever
// became of the box in the next instant.
type ledger struct {
	box *testBox

	mu       sync.Mutex
	grants   map[gateway.Custody]gateway.Grant // that a phone stored, and opened
	released map[gateway.PhoneID]int           // releases that the box said it had done
	policy   uint64                            // newest version that the box said it had loaded
	heads    map[audit.Head]bool               // of the log, that somebody keeps
	size     int64                             // of the largest of them
}

func newLedger(b *testBox) *ledger {
	return &ledger{box: b, grants: map[gateway.Custody]gateway.Grant{}, released: map[gateway.PhoneID]int{}, heads: map[audit.Head]bool{}}
}

// phone notes what a phone has stored: each session that it was given, and the checkpoints it keeps for the box.
func (l *ledger) phone(states []agent.State) error {
	for _, s := range states {
		if s.Session != nil {
			l.mu.Lock()
			l.grants[s.Session.Grant.Custody] = s.Session.Grant
			l.mu.Unlock()
		}
		for _, c := range s.Seen {
			head, err := audit.OpenCheckpoint(c.Text, l.box.verifier)
			if err != nil {
				return fmt.Errorf("a phone keeps a checkpoint that the box did not sign: %w", err)
			}
			l.kept(head)
		}
	}
	return nil
}

// station notes the head of the log that somebody saw at the station.
func (l *ledger) station(w *gateway.Ward) {
	if w.Log.Size > 0 {
		l.kept(audit.Head{Epoch: audit.FirstEpoch, Size: w.Log.Size, Root: w.Log.Root})
	}
}

func (l *ledger) kept(h audit.Head) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heads[h] = true
	l.size = max(l.size, h.Size)
}

// loaded and released note acts that the box has answered with success.
func (l *ledger) loaded(version uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.policy = max(l.policy, version)
}

func (l *ledger) ended(phone gateway.PhoneID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released[phone]++
}

// audit verifies the log that lies on the disk and looks for everything in the ledger.
func (l *ledger) audit() (wardLog, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []audit.Head
	for h := range l.heads {
		kept = append(kept, h)
	}
	log, err := l.box.openLog(kept...)
	if err != nil {
		return log, err
	}
	if n := len(log.report.Breaks); n > 0 {
		return log, fmt.Errorf("the log was broken off %d times", n)
	}
	if err := log.alternates(); err != nil {
		return log, err
	}
	return log, l.missing(log)
}

// missing is the first thing in the ledger that is not in the log.
func (l *ledger) missing(log wardLog) error {
	permits := map[gateway.Custody]gateway.ClinicianID{}
	released := map[gateway.PhoneID]int{}
	loaded := map[string]bool{}
	for _, leaf := range log.leaves {
		r := leaf.Entry.Record
		switch {
		case r.Kind == gateway.CheckOutRequested, r.Kind == gateway.HandOffRequested:
			permits[r.Custody] = r.Clinician
		case r.Kind == gateway.ReleaseRequested && r.Operator != "":
			released[r.Phone]++
		case r.Kind == gateway.PolicyLoaded:
			loaded[r.State] = true
		}
	}
	for custody, g := range l.grants {
		if permits[custody] != g.Clinician {
			return fmt.Errorf("%s was opened for %s under custody %d, which the log permits to %q", g.Phone, g.Clinician, custody, permits[custody])
		}
	}
	for phone, n := range l.released {
		if released[phone] < n {
			return fmt.Errorf("%d releases of %s were confirmed to the operator, the log has %d", n, phone, released[phone])
		}
	}
	if version := fmt.Sprintf("version-%d", l.policy); l.policy > 0 && !loaded[version] {
		return fmt.Errorf("policy %s was confirmed to the operator and is not in the log", version)
	}
	return nil
}

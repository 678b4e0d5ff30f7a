package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/store"
)

// wardLog is a box's whole log, verified, oldest first.
type wardLog struct {
	leaves []audit.Leaf
	report audit.Report
}

// readLog verifies a copy of the box's database, against the checkpoints that others keep, and reads it.
func (b *testBox) readLog(trusted ...audit.Head) wardLog {
	b.t.Helper()
	log, err := b.openLog(trusted...)
	if err != nil {
		b.t.Fatal(err)
	}
	return log
}

// openLog copies the database as it lies there: the box must not be running.
func (b *testBox) openLog(trusted ...audit.Head) (wardLog, error) {
	ctx := b.t.Context()
	dir, err := os.MkdirTemp(b.t.TempDir(), "")
	if err != nil {
		return wardLog{}, err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"ward.db", "ward.db-wal"} {
		content, err := os.ReadFile(filepath.Join(b.config.Data, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
		if err != nil && !(os.IsNotExist(err) && name != "ward.db") {
			return wardLog{}, err
		}
	}
	c, err := store.OpenCopy(ctx, filepath.Join(dir, "ward.db"))
	if err != nil {
		return wardLog{}, err
	}
	defer c.Close()
	report, err := c.VerifyAll(ctx, trusted...)
	if err != nil {
		return wardLog{}, err
	}
	if report.Bad != nil {
		return wardLog{}, fmt.Errorf("the log is not as it was written: %s", report.Bad)
	}
	listed, err := audit.Take(c.Backwards(ctx, audit.Filter{}), int(report.Records)+1)
	if err != nil {
		return wardLog{}, err
	}
	log := wardLog{report: report}
	for _, l := range slices.Backward(listed) {
		log.leaves = append(log.leaves, l.Leaf)
	}
	if len(log.leaves) != int(report.Records) {
		return wardLog{}, fmt.Errorf("verified %d records and could list %d", report.Records, len(log.leaves))
	}
	return log, nil
}

// find returns the leaves that match.
func (l wardLog) find(match func(gateway.Record) bool) (found []audit.Leaf) {
	for _, leaf := range l.leaves {
		if match(leaf.Entry.Record) {
			found = append(found, leaf)
		}
	}
	return found
}

// event is what a record of a phone must tell.
type event struct {
	kind gateway.RecordKind
	who  person
}

// follows checks that a phone's passage stands in the log in this order, whatever stands between.
func (l wardLog) follows(t *testing.T, phone gateway.PhoneID, events ...event) {
	t.Helper()
	rest := l.leaves
	for n, e := range events {
		i := slices.IndexFunc(rest, func(leaf audit.Leaf) bool {
			r := leaf.Entry.Record
			return r.Phone == phone && r.Kind == e.kind && r.Clinician == e.who.ID
		})
		if i < 0 {
			t.Fatalf("the log of %s lacks event %d, %s of %s, after the ones before it", phone, n+1, e.kind, e.who.Name)
		}
		rest = rest[i+1:]
	}
}

// alternates checks for every phone that a session is opened only after the one before it was closed.
func (l wardLog) alternates() error {
	open := map[gateway.PhoneID]gateway.ClinicianID{}
	for _, leaf := range l.leaves {
		r := leaf.Entry.Record
		switch r.Kind {
		case gateway.SessionOpened:
			if before, is := open[r.Phone]; is {
				return fmt.Errorf("record %d opens %s for %s while the session of %s stands", leaf.Index, r.Phone, r.Clinician, before)
			}
			open[r.Phone] = r.Clinician
		case gateway.SessionCleared, gateway.ClearFailure, gateway.PhoneForeign:
			delete(open, r.Phone)
		}
	}
	return nil
}

package handoff_test

import (
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/store"
)

// contradict brings a checkpoint of the box that its log does not reach.
func (w *ward) contradict() {
	h := w.db.Head()
	h.Size += 100
	w.engine.Contradicted(w.t.Context(), h, "a checkpoint")
}

// verify checks the database as an auditor does.
func (w *ward) verify() audit.Report {
	w.t.Helper()
	c, err := store.OpenCopy(w.t.Context(), w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	report, err := c.VerifyAll(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

// TestEpochIsYoungerThanWhatWaited: records that wait for a disk, or come in the same batch, are older than the epoch that
// a contradiction opens. A log that says otherwise is no true log to whoever verifies it.
func TestEpochIsYoungerThanWhatWaited(t *testing.T) {
	inWard(t, func(w *ward) {
		w.pass(time.Second)
		w.journal.breaks(fault{refuse: gateway.ErrStorageFull})
		w.tap("ben", "door")
		w.pass(2 * time.Second)
		w.contradict() // refused: it would stand before what waits
		w.pass(time.Second)
		w.journal.breaks(fault{})
		w.pass(time.Minute)
		w.contradict()
		w.pass(time.Second)
		w.engine.Tap(w.t.Context(), gateway.Tap{Reader: "door", Credential: badge("ana"), At: time.Now()})
		w.contradict()
		w.pass(10 * time.Second)
		if head := w.db.Head(); head.Epoch < 2 {
			t.Errorf("no epoch was opened: %+v", head)
		}
		if report := w.verify(); report.Bad != nil {
			t.Errorf("a true log does not verify: %s", report.Bad)
		}
	})
}

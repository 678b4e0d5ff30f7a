package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
)

func TestQuarantineUntilAPersonLooked(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		a, b, other, ctx := open(t, url), newBox("box-1").work(30), newBox("box-2").work(10), t.Context()
		b.send(t, a, 0, 10, start)
		evidence := b.bundle(10, 20)
		i := raise(t, a, b, evidence, true)
		if _, head, err := audit.PeekCheckpoint(i.Accepted); err != nil || head.Size != 10 || i.Times != 1 || !i.First.Equal(start) {
			t.Errorf("raised %+v, %v", i, err)
		}
		if again := raise(t, a, b, evidence, true); again.ID != i.ID || again.Times != 2 {
			t.Errorf("the same again is %+v", again)
		}
		second := raise(t, a, b, b.bundle(10, 21), true)
		alarm := raise(t, a, b, nil, false)

		if _, err := a.Append(ctx, b.batch(10, 20, start)); !errors.Is(err, archive.ErrQuarantined) {
			t.Errorf("appended to a log in quarantine: %v", err)
		}
		other.send(t, a, 0, 10, start)
		if s, err := a.Standing(ctx, b.origin); err != nil || s.Refused != "it does not continue" || s.Size != 10 {
			t.Errorf("stands at %+v, %v", s, err)
		}
		if got, err := a.Evidence(ctx, i.ID); err != nil || !bytes.Equal(got, evidence) {
			t.Errorf("evidence of %d bytes, %v", len(got), err)
		}
		for n, id := range []int64{i.ID, second.ID} {
			if _, err := a.Append(ctx, b.batch(10, 20, start)); !errors.Is(err, archive.ErrQuarantined) {
				t.Errorf("appended with %d of 2 lifted: %v", n, err)
			}
			if err := a.Lift(ctx, id, "a.person", "the disk was copied", start.Add(time.Hour)); err != nil {
				t.Error(err)
			}
		}
		if err := a.Lift(ctx, i.ID, "a.person", "again", start); err == nil {
			t.Error("lifted twice")
		}
		b.send(t, a, 10, 30, start)
		b.verify(t, a, 30)
		open, err := a.Incidents(ctx, false, 10)
		all, err2 := a.Incidents(ctx, true, 10)
		if err != nil || err2 != nil || len(open) != 1 || open[0].ID != alarm.ID || len(all) != 3 || all[2].LiftedBy != "a.person" || all[2].Lifted.IsZero() {
			t.Errorf("open %+v, all %+v, %v, %v", open, all, err, err2)
		}
		if fresh := raise(t, a, b, evidence, true); fresh.ID == i.ID || fresh.Times != 1 {
			t.Errorf("what was lifted and comes again is %+v", fresh)
		}
	})
}

// TestQuarantineBeforeTheFirstRecord refuses an epoch of which nothing is archived.
func TestQuarantineBeforeTheFirstRecord(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		a, b := open(t, url), newBox("box-1").work(5)
		raise(t, a, b, b.bundle(0, 5), true)
		if s, err := a.Standing(t.Context(), b.origin); err != nil || s.Refused == "" || s.Size != 0 {
			t.Errorf("stands at %+v, %v", s, err)
		}
		if _, err := a.Append(t.Context(), b.batch(0, 5, start)); !errors.Is(err, archive.ErrQuarantined) {
			t.Errorf("appended: %v", err)
		}
		if all, err := a.Origins(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("origins %+v, %v", all, err)
		}
	})
}

// TestEvidenceIsBounded sends other nonsense every time, as a hostile box may.
func TestEvidenceIsBounded(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		a, b := open(t, url), newBox("box-1")
		for i := range 40 {
			raise(t, a, b, fmt.Appendf(nil, "nonsense %d", i), true)
		}
		raise(t, a, b, []byte("nonsense 3"), true)
		incidents, err := a.Incidents(t.Context(), false, 100)
		if err != nil || len(incidents) != 17 {
			t.Fatalf("%d incidents, %v", len(incidents), err)
		}
		if rest, third := incidents[0], incidents[13]; rest.Times != 24 || third.Times != 2 {
			t.Errorf("those without evidence came %d times, the third one %d times", rest.Times, third.Times)
		}
	})
}

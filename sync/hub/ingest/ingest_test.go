package ingest_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/ingest"
	"tapward/sync/uplink"
)

func TestEveryRecordIsArchivedOnceAndReceipted(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		s := newStage(t)
		h := s.hub(url, nil)
		var boxes []*box
		for n := range 5 {
			b := s.box(fmt.Sprintf("box-%d", n)).work(400 + n)
			boxes = append(boxes, b)
			s.send(b, b.bundles(0, 64)...)
		}
		for n, b := range boxes {
			s.send(b, b.bundle(0, 64), b.bundle(300, 400+n)) // again
		}
		records := int64(0)
		for n, b := range boxes {
			s.stored(b, 400+n)
			b.archived(t, h.archive, 400+n)
			records += int64(400 + n)
		}
		s.acknowledged()
		if c := h.Counts(); c.Records != records || c.Refused != 0 || c.Gaps != 0 {
			t.Errorf("counts %+v, want %d records", c, records)
		}
		h.stop()

		// What comes while no hub runs is there for the next, which need not read again what the one before has read.
		b := boxes[0].work(100)
		s.send(b, b.bundles(400, 100)...)
		h = s.hub(url, nil)
		s.stored(b, 500)
		b.archived(t, h.archive, 500)
		if c := h.Counts(); c.Messages != 1 || c.Records != 100 {
			t.Errorf("the second hub read %d messages and archived %d records, want 1 and 100", c.Messages, c.Records)
		}
	})
}

// TestTwoHubsStoreOnce lets two hubs with one database and one broker race.
func TestTwoHubsStoreOnce(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		s := newStage(t)
		one, two := s.hub(url, nil), s.hub(url, nil)
		var boxes []*box
		for n := range 6 {
			boxes = append(boxes, s.box(fmt.Sprintf("box-%d", n)).work(600))
		}
		for from := 0; from < 600; from += 20 {
			for _, b := range boxes {
				s.send(b, b.bundle(from, from+20))
			}
		}
		for _, b := range boxes {
			s.stored(b, 600)
			b.archived(t, one.archive, 600)
		}
		first, second := one.Counts(), two.Counts()
		if first.Records+second.Records != 3600 || first.Refused+second.Refused != 0 {
			t.Errorf("archived %d and %d records, want 3600 together; refused %d, %d", first.Records, second.Records, first.Refused, second.Refused)
		}
		if gaps, err := one.archive.Gaps(t.Context()); err != nil || len(gaps) > 0 {
			t.Errorf("gaps %+v, %v", gaps, err)
		}
		t.Logf("one hub archived %d, the other %d", first.Records, second.Records)
	})
}

// held is an archive that keeps one box waiting.
type held struct {
	ingest.Archive
	box  uplink.Address
	hold chan struct{}
}

func (h held) Append(ctx context.Context, b archive.Batch) (int64, error) {
	if b.Origin.Address == h.box {
		select {
		case <-h.hold:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return h.Archive.Append(ctx, b)
}

func TestASlowBoxHoldsNobodyUp(t *testing.T) {
	s := newStage(t)
	slow := s.box("slow").work(3000)
	hold := make(chan struct{})
	h := s.hub("sqlite:"+t.TempDir()+"/hub.db", func(c *ingest.Config) { c.Archive = held{c.Archive, slow.origin.Address, hold} })
	s.send(slow, slow.bundles(0, 10)...)
	for n := range 3 {
		b := s.box(fmt.Sprintf("box-%d", n)).work(50)
		s.send(b, b.bundles(0, 10)...)
		s.stored(b, 50)
	}
	if standing, err := h.archive.Standing(t.Context(), slow.origin); err != nil || standing.Size != 0 {
		t.Errorf("the slow box has %d records, %v", standing.Size, err)
	}
	close(hold)
	s.stored(slow, 3000)
	slow.archived(t, h.archive, 3000)
}

func TestMissingRecordsAreAskedFor(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		s := newStage(t)
		h := s.hub(url, nil)
		b := s.box("box-1").work(300)
		s.send(b, b.bundle(0, 100))
		s.stored(b, 100)
		resend := func(r uplink.Receipt) bool { return r.Resend && r.Size == 100 }
		for n := range 3 {
			s.send(b, b.bundle(200+n, 300))
			s.receipt(b, "that records from 100 on are wanted", resend)
			for h.Counts().Gaps < int64(n+1) {
				runtime.Gosched()
			}
		}
		if i := h.alarm(t); i.Reason != audit.Gapped || i.Quarantines {
			t.Errorf("alarm %+v", i)
		}
		s.send(b, b.bundle(100, 200), b.bundle(200, 300))
		s.stored(b, 300)
		b.archived(t, h.archive, 300)
	})
}

func TestAnUnknownBoxWaitsForItsKey(t *testing.T) {
	s := newStage(t)
	h := s.hub("sqlite:"+t.TempDir()+"/hub.db", nil)
	b := newBox("stranger").work(20)
	s.send(b, b.bundle(0, 10))
	if i := h.alarm(t); i.Reason != ingest.Unregistered || i.Origin.Address != b.origin.Address || i.Quarantines {
		t.Errorf("alarm %+v", i)
	}
	if all, err := h.archive.Origins(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("archived %+v, %v", all, err)
	}
	s.boxes.allow(b)
	s.send(b, b.bundle(10, 20))
	s.stored(b, 20)
	b.archived(t, h.archive, 20)
}

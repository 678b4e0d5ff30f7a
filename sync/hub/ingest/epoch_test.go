package ingest_test

import (
	"fmt"
	"strings"
	"testing"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// TestALaterEpochIsTakenWithAnAlarm: a box that was put back, or whose evidence contradicts its database, begins anew and
// says so; the hub compares what it says with what it has.
func TestALaterEpochIsTakenWithAnAlarm(t *testing.T) {
	cases := map[string]struct {
		reason gateway.Reason
		names  func(b *box) (prior string, held audit.Head)
		words  string // of the alarm
		forked bool   // the earlier epoch is refused from then on
	}{
		"put back from a backup": {audit.RolledBack, func(b *box) (string, audit.Head) { return b.checkpoint(100), b.headAt(60) },
			"the archive has the 40 records after it as well", false},
		"evidence lost": {audit.EvidenceLost, func(b *box) (string, audit.Head) { return "", b.headAt(100) },
			"held nothing; the box's database reaches to 100 of epoch 1, as the archive does", false},
		"an evidence of another log": {audit.Forked, func(b *box) (string, audit.Head) { return b.fork(50, 50).checkpoint(100), b.headAt(100) },
			"is not the log that is archived", true},
		"a database of another log": {audit.Forked, func(b *box) (string, audit.Head) { return b.checkpoint(100), b.fork(30, 50).headAt(80) },
			"is not the log that is archived", true},
		"evidence of somebody else": {audit.Forked, func(b *box) (string, audit.Head) { return newBox("box-9").work(5).checkpoint(5), b.headAt(100) },
			"is not signed with the box's log key", false},
	}
	engines.Each(t, func(t *testing.T, url string) {
		s := newStage(t)
		h := s.hub(url, nil)
		count := 0
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				count++
				s := s.of(t)
				b := s.box(fmt.Sprintf("box-%d", count)).work(100)
				s.send(b, b.bundles(0, 50)...)
				s.stored(b, 100)
				prior, held := c.names(b)
				n := b.next(c.reason, prior, held).work(9)
				s.send(b, n.bundle(0, 10))
				s.stored(n, 10)
				n.archived(t, h.archive, 10)
				i := h.alarm(t)
				if c.forked {
					if !i.Quarantines || i.Origin != b.origin || i.Reason != audit.Forked {
						t.Errorf("alarm about the earlier epoch: %+v", i)
					}
					i = h.alarm(t)
				}
				if i.Reason != c.reason || i.Quarantines || i.Origin != n.origin || !strings.Contains(i.What, c.words) {
					t.Errorf("alarm %+v, want words %q", i, c.words)
				}
				if standing, err := h.archive.Standing(t.Context(), b.origin); err != nil || (standing.Refused != "") != c.forked {
					t.Errorf("the earlier epoch: %+v, %v", standing, err)
				}
			})
		}
	})
}

// TestTheEndOfTheEarlierEpochIsAskedFor: a box began a new epoch, and some records of the one before never came.
func TestTheEndOfTheEarlierEpochIsAskedFor(t *testing.T) {
	s := newStage(t)
	h := s.hub("sqlite:"+t.TempDir()+"/hub.db", nil)
	b := s.box("box-1").work(100)
	s.send(b, b.bundle(0, 70))
	s.stored(b, 70)
	n := b.next(audit.EvidenceLost, "", b.headAt(100)).work(9)
	s.send(b, n.bundle(0, 10))
	s.receipt(b, "that epoch 1 is wanted from 70 on", func(r uplink.Receipt) bool { return r.Epoch == 1 && r.Size == 70 && r.Resend })
	s.send(b, b.bundle(70, 100), n.bundle(0, 10))
	s.stored(n, 10)
	b.archived(t, h.archive, 100)
	if i := h.alarm(t); !strings.Contains(i.What, "only 70 records of it are archived") {
		t.Errorf("alarm %+v", i)
	}
}

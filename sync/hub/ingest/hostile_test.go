package ingest_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/uplink"
)

// TestWhatIsNoPartOfTheAcceptedLogIsRefused sends, after a hundred records that were accepted, what a hostile, broken or
// rewritten box may send.
func TestWhatIsNoPartOfTheAcceptedLogIsRefused(t *testing.T) {
	cases := map[string]struct {
		reason  gateway.Reason
		message func(b *box) []byte
	}{
		"rewritten": {audit.Forked, func(b *box) []byte { return b.fork(40, 100).bundle(100, 140) }},
		"forked":    {audit.Forked, func(b *box) []byte { return b.fork(90, 50).bundle(90, 140) }},
		"put back":  {audit.RolledBack, func(b *box) []byte { return b.fork(60, 20).bundle(60, 80) }},
		"other checkpoint over the same records": {audit.RolledBack, func(b *box) []byte {
			bundle, f := open(b.bundle(80, 90)), b.fork(10, 80)
			bundle.Checkpoint = f.checkpoint(90)
			return encode(bundle)
		}},
		"records that do not add up": {audit.Forked, func(b *box) []byte {
			bundle, f := open(b.work(20).bundle(100, 120)), b.fork(110, 10)
			bundle.Records = append(slices.Clone(bundle.Records[:10]), f.records[110:120]...)
			return encode(bundle)
		}},
		"signed by another": {audit.Malformed, func(b *box) []byte {
			f := *b
			other := newBox(string(b.origin.Box))
			f.signer = other.signer
			return f.work(10).bundle(100, 110)
		}},
		"of another box": {audit.Malformed, func(b *box) []byte { return newBox("box-2").work(10).bundle(0, 10) }},
		"no bundle":      {audit.Malformed, func(b *box) []byte { return []byte("good morning") }},
		"nothing":        {audit.Malformed, func(b *box) []byte { return nil }},
		"a changed leaf": {audit.Malformed, func(b *box) []byte {
			bundle := open(b.work(10).bundle(100, 110))
			bundle.Records[3].Leaf = bundle.Records[4].Leaf
			return encode(bundle)
		}},
		"a wrong opening": {audit.Malformed, func(b *box) []byte {
			bundle := open(b.work(10).bundle(100, 110))
			bundle.Records[3].Openings = bundle.Records[4].Openings
			return encode(bundle)
		}},
		"a later epoch that names nothing": {audit.Malformed, func(b *box) []byte {
			n := *b
			n.origin.Epoch, n.tree, n.records, n.hashes = 2, audit.Tree{Epoch: 2}, nil, nil
			return n.work(10).bundle(0, 10)
		}},
		"an epoch in the midst": {audit.Malformed, func(b *box) []byte {
			b.write(audit.Entry{Record: gateway.Record{Kind: audit.EpochOpened}})
			return b.bundle(100, 101)
		}},
	}
	engines.Each(t, func(t *testing.T, url string) {
		s := newStage(t)
		h := s.hub(url, nil)
		n := 0
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				s := s.of(t)
				n++
				b, honest := s.box(fmt.Sprintf("hostile-%d", n)).work(100), s.box(fmt.Sprintf("honest-%d", n)).work(30)
				s.send(b, b.bundles(0, 50)...)
				s.stored(b, 100)
				message := c.message(b)
				s.send(b, message)
				s.send(honest, honest.bundles(0, 10)...)
				i := h.alarm(t)
				if i.Reason != c.reason || !i.Quarantines || i.Origin.Address != b.origin.Address {
					t.Errorf("alarm %+v, want %s", i, c.reason)
				}
				// Both checkpoints: the one that was accepted, and the message with the other.
				if i.Origin.Epoch == 1 && i.Accepted != b.checkpoint(100) {
					t.Errorf("the incident holds %q as accepted", i.Accepted)
				}
				if evidence, err := h.archive.Evidence(t.Context(), i.ID); err != nil || !bytes.Equal(evidence, message) {
					t.Errorf("%d bytes of evidence, %v; want the message's %d", len(evidence), err, len(message))
				}
				r := s.receipt(b, "that it is refused", func(r uplink.Receipt) bool { return r.Refused != "" && r.Epoch == i.Origin.Epoch })
				if r.Resend || i.Origin.Epoch == 1 && r.Size != 100 {
					t.Errorf("receipt %+v", r)
				}
				s.send(b, b.fork(100, 10).bundle(100, 110)) // honest, and too late
				s.stored(honest, 30)
				if i.Origin.Epoch == 1 {
					b.fork(100, 0).archived(t, h.archive, 100)
				}
			})
		}
		s.acknowledged()
		select {
		case i := <-h.alarms:
			t.Errorf("one alarm too many: %+v", i)
		default:
		}
	})
}

func open(message []byte) audit.Bundle {
	b, err := audit.DecodeBundle(message)
	must(err)
	return b
}

// TestALiftedQuarantineGoesOn: after a person has looked, the box is asked for what came meanwhile.
func TestALiftedQuarantineGoesOn(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		s := newStage(t)
		h := s.hub(url, nil)
		b := s.box("box-1").work(20)
		s.send(b, b.bundle(0, 10), []byte("a disturbance"), b.bundle(10, 20))
		i := h.alarm(t)
		s.receipt(b, "that it is refused", func(r uplink.Receipt) bool { return r.Refused != "" })
		if err := h.archive.Lift(t.Context(), i.ID, "the security team", "a cable", start); err != nil {
			t.Fatal(err)
		}
		must(h.Ask(b.origin))
		s.receipt(b, "that records from 10 on are wanted", func(r uplink.Receipt) bool { return r.Resend && r.Size == 10 })
		s.send(b, b.bundle(10, 20))
		s.stored(b, 20)
		b.archived(t, h.archive, 20)
	})
}

func TestAskNamesALog(t *testing.T) {
	s := newStage(t)
	h := s.hub("sqlite:"+t.TempDir()+"/hub.db", nil)
	if err := h.Ask(archive.Origin{Address: uplink.Address{Site: "north", Box: "b"}}); err == nil {
		t.Error("an epoch zero was asked for")
	}
}

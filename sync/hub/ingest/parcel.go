package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/sumdb/note"

	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// parcel is one message of a box, with what it says by itself.
type parcel struct {
	sequence uint64
	payload  []byte
	bundle   audit.Bundle
	head     audit.Head
	leaves   []audit.Leaf
	key      note.Verifier // that signed the checkpoint; nil: none of the box's
	fault    *audit.Fault  // why it is not what a box writes
}

const (
	readAhead  = 64      // messages opened while others are archived
	turnBytes  = 8 << 20 // read in one turn; another box waits
	turnRepeat = 4096    // messages, likewise
)

// fetch reads and opens the messages of a box behind a place, in order: up to one that is known to be there, or to the
// end of the stream where that is zero. It closes parcels.
func fetch(ctx context.Context, s jetstream.Stream, a uplink.Address, keys []note.Verifier, after, until uint64, parcels chan<- parcel) error {
	defer close(parcels)
	bytes := 0
	for range turnRepeat {
		if until > 0 && after >= until || bytes > turnBytes {
			return nil
		}
		m, err := s.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(a.AuditSubject()))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read what %s sent: %w", a, err)
		}
		select {
		case parcels <- open(m.Sequence, m.Data, a, keys):
		case <-ctx.Done():
			return ctx.Err()
		}
		after = m.Sequence
		bytes += len(m.Data)
	}
	return nil
}

// open checks all that a message says by itself.
func open(sequence uint64, payload []byte, a uplink.Address, keys []note.Verifier) parcel {
	p := parcel{sequence: sequence, payload: payload}
	var err error
	if p.bundle, err = audit.DecodeBundle(payload); err != nil {
		p.fault = &audit.Fault{Reason: audit.Malformed, What: "it is no bundle: " + err.Error()}
		return p
	}
	if p.bundle.Box != a.Box {
		p.fault = &audit.Fault{Reason: audit.Malformed, What: fmt.Sprintf("it is of box %q", p.bundle.Box)}
		return p
	}
	for _, key := range keys {
		if _, err := audit.OpenCheckpoint(p.bundle.Checkpoint, key); err == nil {
			p.key = key
			break
		}
	}
	if p.key == nil {
		p.fault = &audit.Fault{Reason: audit.Malformed, What: "its checkpoint is not signed with the box's log key"}
		return p
	}
	if p.head, p.leaves, err = p.bundle.Open(p.key); err != nil {
		if !errors.As(err, &p.fault) {
			p.fault = &audit.Fault{Reason: audit.Malformed, What: err.Error()}
		}
		return p
	}
	if what := misplaced(p.leaves); what != "" {
		p.fault = &audit.Fault{Reason: audit.Malformed, What: what}
	}
	return p
}

// misplaced says where an epoch does not begin as it must, or begins in its midst.
func misplaced(leaves []audit.Leaf) string {
	for _, l := range leaves {
		opens, must := l.Entry.Record.Kind == audit.EpochOpened, l.Index == 0 && l.Epoch > audit.FirstEpoch
		switch {
		case opens && !must:
			return fmt.Sprintf("record %d opens an epoch in its midst, or the first", l.Index)
		case must && !opens:
			return "a later epoch must begin by naming the checkpoint it replaces"
		}
	}
	return ""
}

package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/uplink"
)

const (
	batchRecords = 16 << 10 // archived in one transaction
	askedInVain  = 3        // requests for missing records after which a person is told
)

// take holds a message against the archived log and makes its new records ready to be archived.
func (t *turn) take(ctx context.Context, p parcel) error {
	o := archive.Origin{Address: t.box.address, Epoch: p.bundle.Epoch}
	if p.key == nil { // whatever it says of an epoch, nobody we know says so
		o.Epoch = max(t.newest, audit.FirstEpoch)
	}
	if t.epoch != 0 && t.epoch != o.Epoch {
		if err := t.settle(ctx); err != nil {
			return err
		}
	}
	l, err := t.open(ctx, o)
	if err != nil {
		return err
	}
	t.epoch, t.gapped = o.Epoch, false
	if l.refused {
		t.counts.refused.Add(1)
		return nil
	}
	if p.fault != nil {
		return t.refuse(ctx, l, p, p.fault)
	}
	if p.bundle.From() < l.tree.Size() {
		fault, err := t.repeated(ctx, l, p)
		if err != nil {
			return err
		}
		if fault != nil {
			return t.refuse(ctx, l, p, fault)
		}
		if p.bundle.End() <= l.tree.Size() {
			t.counts.repeats.Add(1)
			return nil
		}
	}
	return t.extend(ctx, l, p)
}

// open is what is known of an epoch.
func (t *turn) open(ctx context.Context, o archive.Origin) (*log, error) {
	if l := t.box.log; l != nil && l.origin == o {
		return l, nil
	}
	s, err := t.Archive.Standing(ctx, o)
	if err != nil {
		return nil, err
	}
	tree, err := audit.OpenTree(o.Epoch, s.Size, t.Archive.Hashes(ctx, o))
	if err != nil {
		return nil, fmt.Errorf("open the archived tree of %s: %w", o, err)
	}
	if s.Size > 0 {
		t.newest = max(t.newest, o.Epoch)
	}
	t.box.log = &log{origin: o, tree: tree, refused: s.Refused != ""}
	return t.box.log, nil
}

// repeated compares the records that came before with those that are archived.
func (t *turn) repeated(ctx context.Context, l *log, p parcel) (*audit.Fault, error) {
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	size, b := l.tree.Size(), p.bundle
	again := b.Records[:min(size, b.End())-b.From()]
	archived, err := t.Archive.LeafHashes(ctx, l.origin, b.From(), len(again))
	if err != nil {
		return nil, err
	}
	reason := audit.Forked
	if b.End() <= size {
		reason = audit.RolledBack
	}
	for i, r := range again {
		if i >= len(archived) || archived[i] != tlog.RecordHash(r.Leaf) {
			return &audit.Fault{Reason: reason, What: fmt.Sprintf("record %d is not the one that is archived", r.Index)}, nil
		}
	}
	if b.End() > size {
		return nil, nil // Extend compares the checkpoint
	}
	same, err := audit.Consistent(p.head, size, t.Archive.Hashes(ctx, l.origin))
	if err != nil || same {
		return nil, err
	}
	return &audit.Fault{Reason: reason, What: fmt.Sprintf("its checkpoint at %d is not of the log that is archived", b.End())}, nil
}

// extend adds what a message holds beyond the archived log.
func (t *turn) extend(ctx context.Context, l *log, p parcel) error {
	next, added, err := p.bundle.Extend(l.tree, p.head)
	if fault := (*audit.Fault)(nil); errors.As(err, &fault) {
		if fault.Reason != audit.Gapped {
			return t.refuse(ctx, l, p, fault)
		}
		t.counts.gaps.Add(1)
		t.gapped = true
		return nil
	}
	if err != nil {
		return err
	}
	if l.tree.Size() == 0 && l.origin.Epoch > audit.FirstEpoch {
		if err := t.opened(ctx, l.origin, p); err != nil {
			return err
		}
	}
	if len(l.pending.Records)+len(added) > batchRecords || l.key != p.key {
		if err := t.flush(ctx); err != nil {
			return err
		}
	}
	l.tree, l.key = next, p.key
	l.pending.Records = append(l.pending.Records, added...)
	l.pending.Leaves = append(l.pending.Leaves, p.leaves[len(p.leaves)-len(added):]...)
	l.pending.Checkpoint = p.bundle.Checkpoint
	return nil
}

// flush archives what is pending, with the cosignature that becomes true by it.
func (t *turn) flush(ctx context.Context) error {
	l := t.box.log
	if l == nil || len(l.pending.Records) == 0 {
		return nil
	}
	batch := l.pending
	l.pending = archive.Batch{}
	stored, err := uplink.SignStored(batch.Checkpoint, l.key, t.Stored)
	if err != nil {
		return err
	}
	batch.Origin, batch.Stored, batch.At = l.origin, stored, time.Now()
	_, err = t.Archive.Append(ctx, batch)
	if errors.Is(err, archive.ErrMoved) || errors.Is(err, archive.ErrQuarantined) {
		return errMoved
	}
	if err != nil {
		return err
	}
	t.newest = max(t.newest, l.origin.Epoch)
	t.counts.records.Add(int64(len(batch.Records)))
	return nil
}

// settle archives what is pending and answers for the epoch that the messages were of.
func (t *turn) settle(ctx context.Context) error {
	if err := t.flush(ctx); err != nil {
		return err
	}
	o := archive.Origin{Address: t.box.address, Epoch: t.epoch}
	if err := t.publish(ctx, t.box, t.stored(o, t.gapped)); err != nil {
		return err
	}
	if t.gapped {
		if err := t.miss(ctx, o); err != nil {
			return err
		}
	}
	if t.behind == nil {
		return nil
	}
	behind := *t.behind
	t.behind = nil
	return t.publish(ctx, t.box, t.stored(behind, true))
}

// miss counts requests for missing records, and raises an alarm where they are in vain.
func (t *turn) miss(ctx context.Context, o archive.Origin) error {
	g := &t.box.gap
	if from := t.box.log.tree.Size(); g.origin != o || g.from != from {
		*g = gap{origin: o, from: from}
	}
	g.asked++
	if g.asked < askedInVain {
		return nil
	}
	return t.raise(ctx, archive.Incident{
		Origin: o, Reason: audit.Gapped, Last: time.Now(),
		What: fmt.Sprintf("records from %d on are missing, and the box does not send them although it was asked again and again", g.from),
	})
}

// refuse takes nothing more of a log until a person has looked, and keeps the message as evidence. What came before it is
// archived.
func (t *turn) refuse(ctx context.Context, l *log, p parcel, fault *audit.Fault) error {
	if err := t.flush(ctx); err != nil {
		return err
	}
	t.counts.refused.Add(1)
	l.refused = true
	return t.quarantine(ctx, l.origin, fault.Reason, fault.What, p.payload)
}

func (i *Ingest) quarantine(ctx context.Context, o archive.Origin, reason gateway.Reason, what string, evidence []byte) error {
	return i.raise(ctx, archive.Incident{Origin: o, Reason: reason, What: what, Quarantines: true, Evidence: evidence, Last: time.Now()})
}

// raise writes an incident down, and tells of it where it is new.
func (i *Ingest) raise(ctx context.Context, incident archive.Incident) error {
	raised, err := i.Archive.Raise(ctx, incident)
	if err != nil || raised.Times > 1 {
		return err
	}
	i.Logger.Error("A box's log needs a person's look", "log", raised.Origin.String(), "reason", string(raised.Reason),
		"what", raised.What, "refused", raised.Quarantines, "incident", raised.ID)
	if i.Alarm != nil {
		i.Alarm(raised)
	}
	return nil
}

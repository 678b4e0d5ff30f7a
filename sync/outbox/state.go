package outbox

import (
	"context"
	"fmt"
	"time"

	"tapward/gateway/audit"
)

// State is how far the box's records have got, for the station and the metrics. It is counted anew every few seconds.
type State struct {
	Unsent   int64     // records that the broker has not acknowledged
	Unstored int64     // records that the hub has given no receipt for
	Bytes    int64     // of the unsent, reckoned from the next ones
	Oldest   time.Time // when the oldest record without a receipt was committed, by the box's clock; zero: there is none
	Pruned   int64     // records let go of since the start
	Disk     float64   // how much of the disk is taken, from 0 to 1

	Trouble string // why some of the log stays here until a person has looked; empty: nothing does
	Failing string // why sending fails just now; empty: it does not
}

// State is how it is now.
func (o *Outbox) State() State {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state
}

// sampled is how many records the size of all is reckoned from.
const sampled = 32

// counted is what a count was made of: as long as it is the same, so is the count.
type counted struct {
	checkpoint string
	at         place
	heard      int
	trouble    string
}

// measure counts what has not arrived.
func (o *Outbox) measure(ctx context.Context) error {
	o.mu.Lock()
	now := counted{o.Log.Checkpoint(), o.at, o.heard, o.trouble}
	same := now == o.counted
	o.mu.Unlock()
	if same {
		return nil
	}
	log, err := o.Log.Outgoing(ctx)
	if err != nil {
		return fmt.Errorf("count what was not sent: %w", err)
	}
	held := o.holdings()
	var unsent, unstored span
	trouble := ""
	for _, e := range log {
		h := held[e.Epoch]
		switch {
		case h.refused != "":
			trouble = fmt.Sprintf("The hospital takes nothing more of epoch %d of the log until a person has looked: %s", e.Epoch, h.refused)
		case e.Forked && h.size < e.Size:
			trouble = fmt.Sprintf("Records of epoch %d of the log stay on the box: it was found forked. Call security", e.Epoch)
		default:
			unstored.add(e, h.size)
			if sent := now.at; e.Epoch == sent.epoch {
				unsent.add(e, sent.index)
			} else if e.Epoch > sent.epoch {
				unsent.add(e, h.size)
			}
		}
	}
	bytes, _, err := o.sample(ctx, unsent.first, sampled)
	if err != nil {
		return err
	}
	_, oldest, err := o.sample(ctx, unstored.first, 1)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s := &o.state
	s.Unsent, s.Unstored, s.Bytes, s.Oldest = unsent.records, unstored.records, unsent.records*bytes, oldest
	if s.Trouble = trouble; trouble == "" {
		s.Trouble = now.trouble
	}
	o.counted = now
	return nil
}

// span is some of the log.
type span struct {
	first   place // epoch zero: there is nothing
	records int64
}

func (s *span) add(e audit.Outgoing, from int64) {
	if from >= e.Size {
		return
	}
	if s.records == 0 {
		s.first = place{e.Epoch, from}
	}
	s.records += e.Size - from
}

// sample is the mean size of some records from a place on, and when the first of them was committed.
func (o *Outbox) sample(ctx context.Context, from place, most int) (bytes int64, first time.Time, err error) {
	if from.epoch == 0 {
		return 0, time.Time{}, nil
	}
	records, err := o.Log.Leaves(ctx, from.epoch, from.index, most)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("count what was not sent: %w", err)
	}
	for i, r := range records {
		bytes += int64(len(r.Leaf))
		for _, open := range r.Openings {
			bytes += int64(len(open.Value)) + audit.SaltSize
		}
		if leaf, err := audit.Decode(r.Leaf); i == 0 && err == nil {
			first = leaf.Entry.At
		}
	}
	return bytes / max(1, int64(len(records))), first, nil
}

// stuck says why nothing goes until a person has looked; empty: something goes.
func (o *Outbox) stuck(why string) {
	o.mu.Lock()
	before := o.trouble
	o.trouble = why
	o.mu.Unlock()
	if why != "" && why != before {
		o.Logger.Error("Nothing more can be sent", "why", why)
	}
}

// failing says why sending fails just now; nil: it does not.
func (o *Outbox) failing(err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	o.mu.Lock()
	before := o.state.Failing
	o.state.Failing = why
	o.mu.Unlock()
	switch {
	case before == "" && why != "":
		o.Logger.Warn("Sending the log to the hospital fails; it is tried again for ever", "err", err)
	case before != "" && why == "":
		o.Logger.Info("The log goes to the hospital again")
	}
}

package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"tapward/gateway"
	"tapward/sync/uplink"
)

// holding is what the hub has said last about one epoch.
type holding struct {
	size    int64
	stored  string
	at      time.Time // when the hub signed it
	refused string
	kept    bool // in the store
}

// asked is a request to go back, so that it is obeyed once; zero where the newest receipt was none.
type asked struct {
	from place
	at   time.Time
}

// obeyedFor is how long the same request, heard again and nothing else since, is the one that was obeyed already: what was
// on its way makes the hub repeat it. Later it is a new one: the hub asks again for what still has not come.
const obeyedFor = 10 * time.Second

// Receipt takes a receipt of the hub as it came, more than once or in the wrong order if need be. ctx bounds the wait for
// the record of a refusal.
func (o *Outbox) Receipt(ctx context.Context, in []byte) {
	r, err := uplink.ParseReceipt(in, o.Box, o.Hub)
	var at time.Time
	if err == nil && r.Size > 0 {
		_, at, err = uplink.OpenStored(r.Stored, o.Box, o.Hub)
	}
	if err != nil {
		o.Logger.Error("Ignored a receipt that the hub did not sign", "err", err)
		return
	}
	o.mu.Lock()
	before := o.held[r.Epoch]
	if stale(r, at, before) {
		o.mu.Unlock()
		return
	}
	now := before
	now.refused = r.Refused
	if r.Size > 0 || r.Resend {
		now.size, now.stored, now.at = r.Size, r.Stored, at
		now.kept = before.kept && now.stored == before.stored
	}
	o.held[r.Epoch] = now
	o.heard++
	if r.Resend {
		o.forget(r.Epoch)
	}
	from := place{r.Epoch, r.Size}
	switch {
	case !r.Resend:
		o.asked = asked{}
	case o.asked.from != from || time.Since(o.asked.at) >= obeyedFor:
		o.asked, o.back = asked{from, time.Now()}, &from
		select {
		case o.turned <- struct{}{}:
		default:
		}
	}
	o.mu.Unlock()
	if r.Resend {
		o.Logger.Warn("The hospital asks for records again", "from", from)
	}
	if now.refused != before.refused {
		o.shout(ctx, r)
	}
}

// forget what was said of the epochs after one, refusals too: a hub takes in order, and one that lacks some lacks all that came
// after. The lock is held.
func (o *Outbox) forget(after uint32) {
	for epoch := range o.held {
		if epoch > after {
			o.held[epoch] = holding{}
		}
	}
}

// stale says that a receipt is older than what is known. A later one may say less: a hub was restored from a backup.
func stale(r uplink.Receipt, at time.Time, known holding) bool {
	if r.Size == 0 || known.size == 0 {
		return false
	}
	return cmp.Or(at.Compare(known.at), cmp.Compare(r.Size, known.size)) < 0 && !(r.Resend && at.Equal(known.at))
}

// shout tells of a refusal, or of its end, where people look: the machine's log and the box's own.
func (o *Outbox) shout(ctx context.Context, r uplink.Receipt) {
	record := gateway.Record{Kind: Changed, State: "taken-again", Words: fmt.Sprintf("epoch %d", r.Epoch)}
	if r.Refused == "" {
		o.Logger.Info("The hospital takes the box's log again", "epoch", r.Epoch)
	} else {
		record.State, record.Words = "refused", fmt.Sprintf("epoch %d: %s", r.Epoch, r.Refused)
		o.Logger.Error("The hospital takes nothing more of the box's log until a person has looked", "epoch", r.Epoch, "why", r.Refused)
	}
	o.record(ctx, record)
}

func (o *Outbox) record(ctx context.Context, r gateway.Record) {
	if o.Record != nil {
		o.Record(ctx, r)
	}
}

// recall takes up the receipts that the store kept. Without them records are only sent again.
func (o *Outbox) recall(ctx context.Context) {
	log, err := o.Log.Outgoing(ctx)
	if err != nil && ctx.Err() == nil {
		o.Logger.Error("Cannot read what the hospital has said it stored", "err", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range log {
		if _, heard := o.held[e.Epoch]; heard || e.Stored == "" {
			continue
		}
		head, at, err := uplink.OpenStored(e.Stored, o.Box, o.Hub)
		if err == nil && head.Epoch != e.Epoch {
			err = errors.New("it is of another epoch")
		}
		if err != nil {
			o.Logger.Error("A kept receipt is not one: nothing is pruned by it", "epoch", e.Epoch, "err", err)
			continue
		}
		o.held[e.Epoch] = holding{size: head.Size, stored: e.Stored, at: at, kept: true}
		if p := (place{e.Epoch, head.Size}); o.at.before(p) {
			o.at = p
		}
	}
}

// holdings is a copy of what the hub has said.
func (o *Outbox) holdings() map[uint32]holding {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.held)
}

// keep makes receipts durable that are not, and brings them before the log.
func (o *Outbox) keep(ctx context.Context) error {
	var errs []error
	for epoch, h := range o.holdings() {
		if h.kept {
			continue
		}
		if err := o.Log.KeepReceipt(ctx, epoch, h.size, h.stored); err != nil {
			errs = append(errs, err) // it stays to be kept
			continue
		}
		o.mu.Lock()
		if now := o.held[epoch]; now.stored == h.stored {
			now.kept = true
			o.held[epoch] = now
		}
		o.mu.Unlock()
		if h.size > 0 {
			o.witnessed(h.stored)
		}
	}
	return errors.Join(errs...)
}

package outbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"tapward/gateway/audit"
)

const (
	shortestWait = 200 * time.Millisecond // after a first failure
	longestWait  = 5 * time.Second        // after many; a box that is cut off waits without a word on the network
	doubtAfter   = 2 * time.Minute        // all sent and not stored: the broker may have lost it
)

// send goes on for ever, from what the broker and the hub say after every failure.
func (o *Outbox) send(ctx context.Context) {
	wait := shortestWait
	for ctx.Err() == nil {
		sent, err := o.passage(ctx)
		if sent || err == nil {
			wait = shortestWait
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		o.failing(err)
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		wait = min(2*wait, longestWait)
	}
}

// passage finds where to go on and sends until something fails, or gives a reason to ask anew (no error).
func (o *Outbox) passage(ctx context.Context) (sent bool, err error) {
	at, after, err := o.resume(ctx)
	if err != nil {
		return false, err
	}
	o.failing(nil)
	g, ctx := errgroup.WithContext(ctx)
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	parcels := make(chan parcel, window)
	g.Go(func() error { return o.pack(ctx, at, parcels) })
	g.Go(func() error {
		defer enough()
		sent, err = o.forward(ctx, parcels, after)
		return err
	})
	err = g.Wait()
	return sent, err
}

// forward publishes one parcel after the other.
func (o *Outbox) forward(ctx context.Context, parcels <-chan parcel, after uint64) (sent bool, err error) {
	doubt := time.NewTicker(doubtAfter)
	defer doubt.Stop()
	for {
		select {
		case <-ctx.Done():
			return sent, nil
		case <-o.turned:
			if o.turns() {
				return sent, nil
			}
		case <-doubt.C:
			if o.doubts() {
				return sent, nil
			}
		case p := <-parcels:
			if after, err = o.Broker.Publish(ctx, o.Address.AuditSubject(), p.header, p.payload, after); err != nil {
				return sent, fmt.Errorf("send records up to %s: %w", p.end, err)
			}
			sent = true
			o.sent(p.end)
		}
	}
}

// resume asks the broker what it holds last, and goes on from there, from the newest receipt if that is further, or from
// where a receipt asks for.
func (o *Outbox) resume(ctx context.Context) (at place, after uint64, err error) {
	newest, err := o.Broker.Newest(ctx)
	if err != nil {
		return place{}, 0, fmt.Errorf("ask what the hospital's broker has: %w", err)
	}
	if newest.Sequence > 0 {
		if at, err = newest.end(); err != nil {
			o.Logger.Error("Go on from the newest receipt: the newest message on the box's own subject is not from this box", "err", err)
		}
		o.confront(newest.Payload)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for epoch, h := range o.held {
		if r := (place{epoch, h.size}); h.size > 0 && at.before(r) {
			at = r
		}
	}
	if o.obeyed = o.back; o.back != nil {
		at = *o.back
	}
	o.at = at
	return at, newest.Sequence, nil
}

// confront brings this box's own promise back to its log, which may have been put back since.
func (o *Outbox) confront(payload []byte) {
	b, err := audit.DecodeBundle(payload)
	if err == nil {
		_, err = audit.OpenCheckpoint(b.Checkpoint, o.Box)
	}
	if err != nil {
		o.Logger.Error("Somebody else's message is the newest on the box's own subject", "err", err)
		return
	}
	o.witnessed(b.Checkpoint)
}

func (o *Outbox) witnessed(checkpoint string) {
	if o.Witnessed != nil {
		o.Witnessed(checkpoint)
	}
}

// sent notes what the broker has acknowledged. From now on its newest message says where to go on, and no longer a receipt
// that asked to go back.
func (o *Outbox) sent(to place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at = to; o.back == o.obeyed {
		o.back, o.obeyed = nil, nil
	}
}

// doubts says that what was sent is not stored.
func (o *Outbox) doubts() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.held[o.at.epoch]
	return h.refused == "" && h.size < o.at.index
}

// turns says that a receipt came after which to go on from elsewhere.
func (o *Outbox) turns() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.back != o.obeyed
}

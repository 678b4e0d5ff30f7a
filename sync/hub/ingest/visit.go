package ingest

import (
	"context"
	"errors"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/errgroup"

	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/uplink"
)

// knowledge is what is remembered of a box from turn to turn.
type knowledge struct {
	reading int    // of the stream, in which placed counts
	placed  uint64 // sequence of the newest message that needs no reading
	log     *log   // the epoch that was looked at last; nil: none
	keys    []note.Verifier

	heard    bool // said is the newest receipt, as far as known
	said     uplink.Receipt
	revision uint64

	gap gap
}

// gap is a request for records that did not come.
type gap struct {
	origin archive.Origin
	from   int64
	asked  int // so many times
}

// log is one epoch of a box as it is archived, and what will be archived next.
type log struct {
	origin  archive.Origin
	tree    audit.Tree // pending included
	refused bool

	pending archive.Batch
	key     note.Verifier // of pending
}

var (
	// errMoved says that the archive changed under a turn: what is known of it is void.
	errMoved = errors.New("the archive was moved on by another hub")
	// errUnreadable says that messages heard of cannot be read yet: another server of the cluster has them.
	errUnreadable = errors.New("messages that were announced cannot be read yet")
)

// maxUnreadable is how often they are asked for before they count as gone.
const maxUnreadable = 5

// work gives turns until ctx ends.
func (i *Ingest) work(ctx context.Context) {
	for {
		b, to, ok := i.turns.next(ctx)
		if !ok {
			return
		}
		out := i.turn(ctx, b, to)
		if ctx.Err() != nil {
			return
		}
		if out.err != nil && !errors.Is(out.err, errUnreadable) {
			i.Logger.Error("ingest cannot go on with a box; trying on", "box", b.address.String(), "err", out.err)
		}
		i.turns.end(b, to, out)
	}
}

// turn reads on for one box, archives, and answers.
func (i *Ingest) turn(ctx context.Context, b *box, to task) outcome {
	was := b.placed
	epoch, more, err := i.visit(ctx, b, to)
	if err != nil {
		b.log = nil // whether the archive moved is unknown
	}
	if errors.Is(err, errMoved) {
		more, err = true, nil
	}
	if b.placed != was {
		i.read(b.address, b.reading, b.placed)
	}
	return outcome{reading: b.reading, done: b.placed, epoch: epoch, more: more, err: err}
}

func (i *Ingest) visit(ctx context.Context, b *box, to task) (epoch uint32, more bool, err error) {
	from := i.now()
	if from.stream == nil {
		return 0, false, errUnreadable
	}
	if b.reading != from.reading {
		placed, err := i.placeOf(ctx, b.address, from.made)
		if err != nil {
			return 0, false, err
		}
		b.knowledge = knowledge{reading: from.reading, placed: placed}
	}
	keys, err := i.Boxes.LogKeys(ctx, b.address)
	if err != nil {
		return 0, false, err
	}
	if len(keys) == 0 {
		return 0, false, i.unregistered(ctx, b, to)
	}
	if to.compare || to.asked.Epoch > 0 {
		b.log = nil // it may have been lifted out of quarantine
	}
	b.keys = keys
	t := &turn{Ingest: i, box: b, newest: to.newest}
	read, err := t.read(ctx, from, keys, to)
	if err != nil {
		return t.newest, false, err
	}
	switch {
	case read && (to.compare || b.placed < to.until):
		return t.newest, true, nil // first all that is in the stream
	case b.placed < to.until && to.failures < maxUnreadable:
		return t.newest, false, errUnreadable
	case b.placed < to.until:
		b.placed = to.until // the broker let them go; the next message shows what is missing
	}
	if to.asked.Epoch > 0 {
		if err := i.publish(ctx, b, i.stored(to.asked, true)); err != nil {
			return t.newest, false, err
		}
	}
	if to.compare {
		b.heard = false
		err = i.publish(ctx, b, i.compared(b.address, t.newest))
	}
	return t.newest, false, err
}

// unregistered raises an alarm about a box that sends and has no key here. Its messages stay and are looked at again.
func (i *Ingest) unregistered(ctx context.Context, b *box, to task) error {
	if to.until <= b.placed {
		return nil
	}
	return i.raise(ctx, archive.Incident{
		Origin: archive.Origin{Address: b.address, Epoch: audit.FirstEpoch}, Reason: Unregistered,
		What: "it sends records and no log key is registered for it: enrol it, or find out who sends", Last: time.Now(),
	})
}

// turn is what happens in one.
type turn struct {
	*Ingest
	box    *box
	newest uint32 // epoch archived

	epoch  uint32          // that the messages since the last receipt are of; 0: there was none
	gapped bool            // the last of them came before what belongs before it
	behind *archive.Origin // an earlier epoch that ends with records that did not come
}

// read takes the messages that are there and says whether there was any. What was taken when it fails is not lost: it is
// read again.
func (t *turn) read(ctx context.Context, from source, keys []note.Verifier, to task) (any bool, err error) {
	until := to.until
	if to.compare {
		until = 0
	}
	g, reading := errgroup.WithContext(ctx)
	parcels := make(chan parcel, readAhead)
	g.Go(func() error {
		return fetch(reading, from.stream, t.box.address, keys, t.box.placed, until, parcels)
	})
	var reached uint64
	g.Go(func() error {
		for p := range parcels {
			t.counts.messages.Add(1)
			if err := t.take(reading, p); err != nil {
				return err
			}
			reached = p.sequence
		}
		return nil
	})
	if err := g.Wait(); err != nil || reached == 0 {
		return false, err
	}
	if err := t.settle(ctx); err != nil {
		return true, err
	}
	t.box.placed = reached
	return true, nil
}

package ingest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tapward/sync/hub/archive"
	"tapward/sync/uplink"
)

// box is what is to be done for one box. Its turn is given to one worker at a time, who owns what knowledge is inside.
type box struct {
	address uplink.Address
	knowledge

	// Under the lock of turns.
	taken    bool          // waits for its turn, or has it
	until    uint64        // sequence of the newest message heard of
	done     uint64        // that of the newest one handled
	notice   jetstream.Msg // tells of until; acknowledged when it is done
	compare  bool          // its receipt with the archive
	newest   uint32        // epoch archived of it; 0: none
	asked    archive.Origin
	failures int
}

// turns gives each box its turn, one after the other, so that one with a long backlog holds nobody up.
type turns struct {
	mu      sync.Mutex
	boxes   map[uplink.Address]*box
	waiting []*box
	resting []rest // after a failure
	reading int    // of the stream, as source counts them
	wake    chan struct{}
}

type rest struct {
	box   *box
	until time.Time
}

func newTurns() *turns {
	return &turns{boxes: map[uplink.Address]*box{}, wake: make(chan struct{}, 1)}
}

// with changes what is known of a box, and gives it a turn.
func (t *turns) with(a uplink.Address, change func(*box)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.boxes[a]
	if b == nil {
		b = &box{address: a}
		t.boxes[a] = b
	}
	change(b)
	if !b.taken {
		b.taken = true
		t.queue(b)
	}
}

func (t *turns) queue(b *box) {
	t.waiting = append(t.waiting, b)
	t.signal()
}

func (t *turns) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// notice hears that a box has sent a message. Of each box one notice is kept, the newest: it stands for those before, so
// that a box with a long backlog cannot keep the broker from telling of others.
func (t *turns) notice(a uplink.Address, sequence uint64, m jetstream.Msg) {
	covered := m
	t.with(a, func(b *box) {
		switch {
		case sequence <= b.done || sequence < b.until && b.notice != nil:
		case sequence == b.until: // the same once more
			covered, b.notice = nil, m
		default:
			covered, b.notice, b.until = b.notice, m, max(sequence, b.until)
		}
	})
	if covered != nil {
		_ = covered.Ack() // lost: it comes again
	}
}

// check asks for a comparison of a box's receipt with the archive.
func (t *turns) check(a uplink.Address, newest uint32) {
	t.with(a, func(b *box) { b.compare, b.newest = true, newest })
}

func (t *turns) ask(o archive.Origin) { t.with(o.Address, func(b *box) { b.asked = o }) }

// forget says that the stream is read from its beginning from now on: it is another one, or was put back.
func (t *turns) forget(reading int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reading = reading
	for _, b := range t.boxes {
		b.until, b.done, b.notice = 0, 0, nil
	}
}

// task is what a turn is for.
type task struct {
	until    uint64
	compare  bool
	newest   uint32
	asked    archive.Origin
	failures int // turns before this one that failed
}

// next waits for a box whose turn it is; false: ctx ended.
func (t *turns) next(ctx context.Context) (*box, task, bool) {
	for {
		b, to, wait := t.take(time.Now())
		if b != nil {
			return b, to, ctx.Err() == nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, task{}, false
		case <-t.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take is the box that waits longest, or how long to wait until one has rested.
func (t *turns) take(now time.Time) (*box, task, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := longestWait
	t.resting = slices.DeleteFunc(t.resting, func(r rest) bool {
		left := r.until.Sub(now)
		if left <= 0 {
			t.waiting = append(t.waiting, r.box)
			return true
		}
		wait = min(wait, left)
		return false
	})
	if len(t.waiting) == 0 {
		return nil, task{}, wait
	}
	b := t.waiting[0]
	t.waiting = slices.Delete(t.waiting, 0, 1)
	if len(t.waiting) > 0 {
		t.signal()
	}
	to := task{b.until, b.compare, b.newest, b.asked, b.failures}
	b.compare, b.asked = false, archive.Origin{}
	return b, to, 0
}

// outcome is how a turn ended.
type outcome struct {
	reading int    // of the stream, in which done counts
	done    uint64 // sequence of the newest message handled
	epoch   uint32 // the newest archived
	more    bool   // there is more to do for it right away
	err     error  // something failed that will be tried again after a rest
}

// end takes a turn back.
func (t *turns) end(b *box, to task, out outcome) {
	t.mu.Lock()
	b.newest = max(b.newest, out.epoch)
	if out.reading == t.reading {
		b.done = out.done
	} else {
		out.more = true
	}
	var covered, busy jetstream.Msg
	if b.notice != nil && b.until <= b.done {
		covered, b.notice = b.notice, nil
	} else {
		busy = b.notice
	}
	if out.err != nil || out.more { // nothing was compared or asked for yet
		b.compare = b.compare || to.compare
		if b.asked.Epoch == 0 {
			b.asked = to.asked
		}
	}
	switch {
	case out.err != nil:
		b.failures++
		t.resting = append(t.resting, rest{b, time.Now().Add(min(shortestWait<<min(b.failures-1, 10), longestWait))})
		t.signal()
	case out.more || b.until > max(b.done, to.until) || b.compare || b.asked.Epoch > 0:
		b.failures = 0
		t.queue(b)
	default:
		b.taken, b.failures = false, 0
	}
	t.mu.Unlock()
	if covered != nil {
		_ = covered.Ack()
	} else if busy != nil && out.err == nil {
		_ = busy.InProgress()
	}
}

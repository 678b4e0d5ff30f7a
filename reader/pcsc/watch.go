package pcsc

import (
	"context"
	"errors"
	"time"

	"github.com/ebfe/scard"
)

const (
	// longestWait bounds one wait, since readers that come and go between two waits are only found by listing.
	longestWait = time.Second
	// plugAndPlay is the daemon's pseudo-reader that ends a wait when a reader comes or goes. It is a hint: it misses
	// one out and one in, and whatever happens between two waits.
	plugAndPlay = `\\?PnP?\Notification`
)

// watcher is the one goroutine that waits for readers and badges.
type watcher struct {
	conn  connection
	slots []*slot
	plugs scard.StateFlag // of the pseudo-reader, to be fed back
}

// watch lists the readers and waits for changes, again and again, until ctx ends or the daemon fails.
func (w *watcher) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		names, err := listReaders(w.conn)
		if err != nil {
			return err
		}
		w.assign(names)
		states := w.states()
		err = w.conn.GetStatusChange(states, w.wait(time.Now()))
		now := time.Now()
		switch {
		case err == nil:
			w.observe(states, now)
		case errors.Is(err, scard.ErrTimeout):
		case oneOf(err, scard.ErrUnknownReader, scard.ErrReaderUnavailable):
			// One went between list and wait; which, the next list tells.
			pause(ctx, 20*time.Millisecond)
		default:
			return err
		}
		w.welcome(now)
	}
	return ctx.Err()
}

// assign gives each slot its reader, and tells of those that have none.
func (w *watcher) assign(names []string) {
	readers := make([]Reader, len(w.slots))
	for i, slot := range w.slots {
		readers[i] = slot.Reader
	}
	for i, found := range assign(readers, names) {
		slot := w.slots[i]
		if found.name != slot.current() {
			slot.change(found)
		}
		switch {
		case found.name == "":
			slot.down(found.problem)
		case slot.seen.state&stateGone != 0:
			slot.ready = false
			slot.down("The reader is listed but does not answer. Check its cable.")
		}
	}
}

// states is what to wait for: a fresh list every time, because the library leaves old ATRs in one that is used again.
func (w *watcher) states() []scard.ReaderState {
	var states []scard.ReaderState
	for _, slot := range w.slots {
		if name := slot.current(); name != "" {
			states = append(states, scard.ReaderState{Reader: name, UserData: slot, CurrentState: slot.seen.state})
		}
	}
	// The pseudo-reader counts towards what the daemon takes at once.
	if len(states) < MaxReaders {
		states = append(states, scard.ReaderState{Reader: plugAndPlay, CurrentState: w.plugs})
	}
	return states
}

// wait is how long to wait at most.
func (w *watcher) wait(now time.Time) time.Duration {
	wait := longestWait
	for _, slot := range w.slots {
		if slot.seen.known && now.Before(slot.seen.settled) {
			// PC/SC counts whole milliseconds and rounds down.
			wait = min(wait, slot.seen.settled.Sub(now)+time.Millisecond)
		}
	}
	return wait
}

// observe hands badges that were presented to their workers. Of readers that went the next list tells.
func (w *watcher) observe(states []scard.ReaderState, now time.Time) {
	for _, state := range states {
		slot, ours := state.UserData.(*slot)
		if !ours {
			w.plugs = state.EventState &^ scard.StateChanged
			continue
		}
		if slot.seen.observe(state.EventState, now) {
			newest(slot.insertions, insertion{state.Reader, state.Atr, now})
		}
	}
}

// welcome tells of readers that have come up.
func (w *watcher) welcome(now time.Time) {
	for _, slot := range w.slots {
		if !slot.ready && slot.seen.ready(now) {
			slot.ready = true
			slot.up()
			newest(slot.arrivals, slot.current())
		}
	}
}

// change takes a new PC/SC reader, or none, for the one that was ours.
func (s *slot) change(found assignment) {
	if s.ready && found.name != "" {
		s.down("The reader was unplugged, and is there again under another name.")
	}
	s.seen, s.ready = presence{settling: s.seen.settling}, false
	s.assign(found.name)
}

// pause waits, but not beyond ctx.
func pause(ctx context.Context, d time.Duration) {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
	}
}

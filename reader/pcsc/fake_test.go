package pcsc

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ebfe/scard"
)

// fakeDaemon is PC/SC in memory, with its oddities: a Cancel that nobody waits for is forgotten, a dead daemon fails
// every call, states carry a counter, and readers can be plugged in and out, which vpcd cannot do.
type fakeDaemon struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	life    int           // counts restarts
	dead    bool
	readers []*fakeReader
	open    int // connections and cards not given back

	uncut bool // Interrupt has no effect
	// fault, if set, is asked before a call on a card or a reader is carried out. Its error is what the caller gets,
	// and done says whether the call is carried out all the same.
	fault func(call string) (done bool, err error)
}

type fakeReader struct {
	mute     bool // listed, but not answering
	name     string
	card     *fakeCard
	counter  uint16
	told     [][]byte                            // commands for the reader itself
	respond  func(command []byte) ([]byte, bool) // to such commands; false: not for the reader
	refusing error                               // of every Connect
}

type fakeCard struct {
	atr     []byte
	answers [][]byte      // to getUID, one after the other, the last for ever
	hang    chan struct{} // a command is answered when this is closed; nil: at once
}

func newFake(names ...string) *fakeDaemon {
	d := &fakeDaemon{changed: make(chan struct{})}
	for _, name := range names {
		d.plug(name)
	}
	return d
}

func badge(number ...byte) *fakeCard {
	return &fakeCard{atr: []byte{0x3B, 0x80, 0x80, 0x01, 0x01}, answers: [][]byte{append(slices.Clone(number), 0x90, 0x00)}}
}

// change makes a change to the world and wakes whoever waits for one.
func (d *fakeDaemon) change(act func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	act()
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *fakeDaemon) find(name string) *fakeReader {
	i := slices.IndexFunc(d.readers, func(r *fakeReader) bool { return r.name == name })
	if i < 0 {
		return nil
	}
	return d.readers[i]
}

func (d *fakeDaemon) plug(name string) {
	d.change(func() { d.readers = append(d.readers, &fakeReader{name: name, respond: respondLikeACS}) })
}

func (d *fakeDaemon) unplug(name string) {
	d.change(func() {
		d.readers = slices.DeleteFunc(d.readers, func(r *fakeReader) bool { return r.name == name })
	})
}

func (d *fakeDaemon) insert(name string, c *fakeCard) {
	d.change(func() { r := d.find(name); r.card = c; r.counter++ })
}

func (d *fakeDaemon) remove(name string) {
	d.change(func() { r := d.find(name); r.card = nil; r.counter++ })
}

func (d *fakeDaemon) kill() { d.change(func() { d.dead = true }) }

// restart starts the counters again, with whatever lies on the readers.
func (d *fakeDaemon) restart() {
	d.change(func() {
		d.dead = false
		d.life++
		for _, r := range d.readers {
			r.counter = 0
		}
	})
}

func (d *fakeDaemon) told(name string) [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.find(name).told)
}

// allGivenBack fails, in a bubble in which nothing moves any more, if a connection or a card is still held.
func allGivenBack(t *testing.T, d *fakeDaemon) {
	t.Helper()
	synctest.Wait()
	if d.open != 0 {
		t.Errorf("%d connections and cards were not given back", d.open)
	}
}

func (d *fakeDaemon) establish(ctx context.Context) (connection, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, scard.ErrNoService
	}
	d.open++
	return &fakeConnection{d: d, life: d.life, cancelled: make(chan struct{}), cut: make(chan struct{})}, nil
}

type fakeConnection struct {
	d         *fakeDaemon
	life      int
	cancelled chan struct{}
	once      sync.Once
	cut       chan struct{}
}

// usable is called with the lock held.
func (c *fakeConnection) usable() error {
	select {
	case <-c.cut:
		return scard.ErrCommError
	default:
	}
	if c.d.dead || c.life != c.d.life {
		return scard.ErrNoService
	}
	return nil
}

func (c *fakeConnection) ListReaders() ([]string, error) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if err := c.usable(); err != nil {
		return nil, err
	}
	var names []string
	for _, r := range c.d.readers {
		names = append(names, r.name)
	}
	if names == nil {
		return nil, scard.ErrNoReadersAvailable
	}
	return names, nil
}

func (c *fakeConnection) GetStatusChange(states []scard.ReaderState, timeout time.Duration) error {
	if len(states) == 0 || len(states) > MaxReaders {
		return scard.ErrInvalidParameter
	}
	timer := time.NewTimer(timeout.Truncate(time.Millisecond))
	defer timer.Stop()
	count := -1
	for first := true; ; first = false {
		c.d.mu.Lock()
		changed := c.d.changed
		if count < 0 {
			count = len(c.d.readers)
		}
		news, err := c.look(states, first, count)
		c.d.mu.Unlock()
		if err != nil || news {
			return err
		}
		select {
		case <-changed:
		case <-timer.C:
			return scard.ErrTimeout
		case c.cancelled <- struct{}{}:
			return scard.ErrCancelled
		case <-c.cut:
			return scard.ErrCommError
		}
	}
}

// look fills in the states and says whether one of them is news.
func (c *fakeConnection) look(states []scard.ReaderState, first bool, count int) (news bool, err error) {
	if err := c.usable(); err != nil {
		return false, scard.ErrCommError
	}
	for i := range states {
		s := &states[i]
		now := scard.StateFlag(0)
		switch r := c.d.find(s.Reader); {
		case s.Reader == plugAndPlay:
			if len(c.d.readers) != count {
				now = s.CurrentState | scard.StateChanged
			} else {
				now = s.CurrentState
			}
		case r == nil && first:
			return false, scard.ErrUnknownReader
		case r == nil, r.mute:
			now = scard.StateUnknown | scard.StateUnavailable
		case r.card == nil:
			now = scard.StateEmpty | scard.StateFlag(r.counter)<<16
		default:
			now = scard.StatePresent | scard.StateFlag(r.counter)<<16
			s.Atr = bytes.Clone(r.card.atr)
		}
		if now != s.CurrentState {
			now |= scard.StateChanged
			news = true
		}
		s.EventState = now
	}
	return news, nil
}

// Cancel reaches only one that waits already.
func (c *fakeConnection) Cancel() error {
	select {
	case <-c.cancelled:
	default:
	}
	return nil
}

func (c *fakeConnection) Interrupt() {
	if !c.d.uncut {
		c.once.Do(func() { close(c.cut) })
	}
}

func (c *fakeConnection) Release() error {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.d.open--
	return c.usable()
}

func (c *fakeConnection) Connect(name string, mode scard.ShareMode) (card, error) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if err := c.usable(); err != nil {
		return nil, err
	}
	done, err := c.d.faulty("connect")
	if err != nil && !done {
		return nil, err
	}
	r := c.d.find(name)
	switch {
	case r == nil:
		return nil, scard.ErrUnknownReader
	case r.refusing != nil:
		return nil, r.refusing
	case mode != scard.ShareDirect && r.card == nil:
		return nil, scard.ErrNoSmartcard
	case err != nil:
		return nil, err
	}
	c.d.open++
	return &fakeHandle{c, r, r.card}, nil
}

// faulty is called with the lock held.
func (d *fakeDaemon) faulty(call string) (done bool, err error) {
	if d.fault == nil {
		return false, nil
	}
	return d.fault(call)
}

type fakeHandle struct {
	c    *fakeConnection
	r    *fakeReader
	card *fakeCard
}

func (h *fakeHandle) Transmit(command []byte) ([]byte, error) {
	h.c.d.mu.Lock()
	defer h.c.d.mu.Unlock()
	if err := h.c.usable(); err != nil {
		return nil, err
	}
	done, failure := h.c.d.faulty("transmit")
	if failure != nil && !done {
		return nil, failure
	}
	if hang := h.card.hang; hang != nil {
		h.c.d.mu.Unlock()
		select {
		case <-hang:
		case <-h.c.cut:
		}
		h.c.d.mu.Lock()
		if err := h.c.usable(); err != nil {
			return nil, err
		}
	}
	if h.r.card != h.card {
		return nil, scard.ErrRemovedCard
	}
	answer := h.answer(command)
	if failure != nil {
		return nil, failure
	}
	return answer, nil
}

func (h *fakeHandle) answer(command []byte) []byte {
	if bytes.Equal(command, getUID) {
		answer := h.card.answers[0]
		if len(h.card.answers) > 1 {
			h.card.answers = h.card.answers[1:]
		}
		return answer
	}
	h.r.told = append(h.r.told, bytes.Clone(command))
	if answer, ok := h.r.respond(command); ok {
		return answer
	}
	return []byte{0x6D, 0x00}
}

func (h *fakeHandle) Control(code uint32, command []byte) ([]byte, error) {
	h.c.d.mu.Lock()
	defer h.c.d.mu.Unlock()
	if err := h.c.usable(); err != nil {
		return nil, err
	}
	if code != scard.CtlCode(1) {
		return nil, scard.ErrUnsupportedFeature
	}
	done, failure := h.c.d.faulty("control")
	if failure != nil && !done {
		return nil, failure
	}
	h.r.told = append(h.r.told, bytes.Clone(command))
	answer, ok := h.r.respond(command)
	if failure != nil || !ok {
		return nil, cmp.Or(failure, error(scard.ErrUnsupportedFeature))
	}
	return answer, nil
}

func (h *fakeHandle) Disconnect(scard.Disposition) error {
	h.c.d.mu.Lock()
	defer h.c.d.mu.Unlock()
	h.c.d.open--
	return h.c.usable()
}

// respondLikeACS answers as the ACR122U and the ACR1252 do, by the command.
func respondLikeACS(command []byte) ([]byte, bool) {
	switch {
	case bytes.HasPrefix(command, []byte{0xFF, 0x00, 0x40}):
		return []byte{0x90, command[3] & 0x03}, true
	case bytes.HasPrefix(command, []byte{0xFF, 0x00, 0x52}):
		return []byte{0x90, 0x00}, true
	case bytes.HasPrefix(command, []byte{0xE0, 0x00, 0x00, 0x21}):
		return []byte{0xE1, 0x00, 0x00, 0x00, 0x01, 0x8F}, true
	case bytes.HasPrefix(command, []byte{0xE0, 0x00, 0x00}):
		return []byte{0xE1, 0x00, 0x00, 0x00, 0x01, command[len(command)-1]}, true
	}
	return nil, false
}

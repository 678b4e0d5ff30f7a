package upstream

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"tapward/sync/uplink"
)

// Entry is one key of a bucket.
type Entry struct{ Bucket, Key string }

// Watch gives the newest value of each entry to deliver, and then every newer one, until ctx ends. What is replaced
// while deliver is busy is left out: only the newest counts. Values are heard as they are published and read again after
// every connect and about every minute, so that none is missed for long; deliver may get one twice, and after a replica
// that lagged, an older one: what it carries says which is newer. deliver runs in one goroutine.
func (c *Client) Watch(ctx context.Context, deliver func(Message), entries ...Entry) error {
	nc, err := c.connection(ctx)
	if err != nil {
		return nil
	}
	w := &watch{client: c, wake: make(chan struct{}, 1)}
	for _, e := range entries {
		s := &slot{stream: uplink.BucketStream(e.Bucket), subject: uplink.BucketSubject(e.Bucket, e.Key)}
		w.slots = append(w.slots, s)
		sub, err := nc.Subscribe(s.subject, func(m *nats.Msg) { w.heard(s, m) })
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch %s: %w", s.subject, err)
		}
		defer sub.Unsubscribe()
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { w.readAgain(ctx); return nil })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-w.wake:
				for _, s := range w.slots {
					if m, ok := s.take(); ok {
						deliver(m)
					}
				}
			}
		}
	})
	return g.Wait()
}

type watch struct {
	client *Client
	slots  []*slot
	wake   chan struct{}
}

// slot holds what is newest of one entry and not delivered yet.
type slot struct {
	stream, subject string

	mu      sync.Mutex
	waiting *Message
	heard   uint64            // messages heard as they were published
	round   uint64            // of the connection, at the newest read
	read    uint64            // sequence of the newest read
	digest  [sha256.Size]byte // of what was last put in
	filled  bool
}

func (s *slot) take() (Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		return Message{}, false
	}
	m := *s.waiting
	s.waiting = nil
	return m, true
}

func (w *watch) heard(s *slot, m *nats.Msg) {
	s.mu.Lock()
	s.heard++
	s.put(Message{Subject: m.Subject, Header: plain(m.Header), Payload: m.Data})
	s.mu.Unlock()
	w.signal()
}

// put is called with the lock held.
func (s *slot) put(m Message) {
	s.waiting, s.digest, s.filled = &m, sha256.Sum256(m.Payload), true
}

func (w *watch) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// readAgain reads every entry after each connect and about each minute.
func (w *watch) readAgain(ctx context.Context) {
	for failed := 0; ctx.Err() == nil; {
		round, next := w.client.connects()
		wait := probeEach/2 + rand.N(probeEach)
		if round > 0 {
			if w.readAll(ctx, round) {
				failed = 0
			} else {
				failed++
				wait = delay(failed)
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-next:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (w *watch) readAll(ctx context.Context, round uint64) bool {
	all := true
	for _, s := range w.slots {
		s.mu.Lock()
		heard := s.heard
		s.mu.Unlock()
		m, err := w.client.Last(ctx, s.stream, s.subject)
		if err != nil {
			all = all && errors.Is(err, ErrNone)
			continue
		}
		if s.found(m, heard, round) {
			w.signal()
		}
	}
	return all
}

// found takes what was read, unless something was heard in the meantime: that is the same, or newer, or followed by what
// is newer, since all that is published after the subscription is heard in order.
func (s *slot) found(m Message, heard, round uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	lagging := round == s.round && m.Sequence < s.read
	if s.heard != heard || lagging {
		return false
	}
	s.round, s.read = round, m.Sequence
	if s.filled && s.digest == sha256.Sum256(m.Payload) {
		return false
	}
	s.put(m)
	return true
}

// connects is how often the connection was made, and a channel that is closed the next time.
func (c *Client) connects() (uint64, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.round, c.rounds
}

// Package pcsc reads badges at PC/SC readers through the PC/SC daemon (pcscd), and drives their lights and buzzers.
//
// One goroutine watches all readers; each badge is then read by its reader's own goroutine over a connection of its
// own, because a call that waits for a card cannot be cancelled. A process has one Source: the library underneath
// cannot watch from two goroutines at once.
package pcsc

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tapward/gateway"
	"tapward/reader"
)

// Source is every configured PC/SC reader of this box. It is a reader.Source.
type Source struct {
	daemon   daemon
	log      *slog.Logger
	slots    []*slot
	settling time.Duration
}

var _ reader.Source = (*Source)(nil)

// New checks the configuration; it opens nothing.
func New(c Config, log *slog.Logger) (*Source, error) { return newSource(c, &library{}, log) }

func newSource(c Config, d daemon, log *slog.Logger) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configure PC/SC readers: %w", err)
	}
	s := &Source{daemon: d, log: log, settling: settling}
	for _, r := range c.Readers {
		s.slots = append(s.slots, newSlot(r, log.With("reader", r.ID)))
	}
	return s, nil
}

// Connected lists the names of the readers that the daemon has now, for whoever writes the configuration.
func Connected(ctx context.Context) ([]string, error) {
	d := &library{}
	conn, err := d.establish(ctx)
	if err != nil {
		return nil, explain(err)
	}
	defer conn.Release()
	names, err := listReaders(conn)
	if err != nil {
		return nil, explain(err)
	}
	return names, nil
}

// Readers are the configured ids, in their order.
func (s *Source) Readers() []gateway.ReaderID {
	var ids []gateway.ReaderID
	for _, slot := range s.slots {
		ids = append(ids, slot.ID)
	}
	return ids
}

// Run watches the readers until ctx ends or the daemon goes away, which is an error; readers that come and go meanwhile
// are statuses. One Run at a time.
func (s *Source) Run(ctx context.Context, out chan<- reader.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	conn, err := s.daemon.establish(ctx)
	if err != nil {
		return ended(ctx, err)
	}
	working, stopWork := context.WithCancel(ctx)
	var workers sync.WaitGroup
	for _, slot := range s.slots {
		slot.begin(working, s.settling, out)
		workers.Go(func() { s.work(working, slot) })
	}
	// Released is only what nobody waits on any more: Release behind a waiter never returns.
	stopCancel := nudge(ctx, 0, func() { conn.Cancel() })
	stopInterrupt := nudge(ctx, patience, conn.Interrupt)
	err = (&watcher{conn: conn, slots: s.slots}).watch(ctx)
	stopCancel()
	stopInterrupt()
	stopWork()
	workers.Wait()
	for _, slot := range s.slots {
		slot.end()
	}
	if failed := conn.Release(); failed != nil {
		s.log.Debug("PC/SC connection was not released in order", "error", failed)
	}
	return ended(ctx, err)
}

// ended is ctx's error if it is over, whatever happened in its wake.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return explain(err)
}

// patience is how long a cancelled wait may take to return before its connection is cut.
const patience = 500 * time.Millisecond

// Package serial reads badges from readers on serial ports: RDM6300 and ID-12LA frames, rf IDEAS lines, and any line of
// text that can be described.
//
// Decoding (framer, with a cutter for each protocol) is pure and apart from the port; a Source is one port.
package serial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/reader"
)

// Source is one serial port with one reader, a reader.Source.
type Source struct {
	config Config
	log    *slog.Logger
	open   func() (transport, error)
	span   time.Duration        // of the debounce
	lamp   atomic.Pointer[lamp] // of the run under way, at a reader with a light
	wasUp  atomic.Bool          // in this run or an earlier one
}

// New checks the configuration and opens nothing.
func New(config Config, log *slog.Logger) (*Source, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Source{
		config: config,
		log:    log.With("reader", config.ID),
		open:   func() (transport, error) { return openPort(config.Device, config.baud()) },
		span:   config.debounceSpan(),
	}, nil
}

// Readers is the one configured id.
func (s *Source) Readers() []gateway.ReaderID { return []gateway.ReaderID{s.config.ID} }

var errNotRunning = errors.New("reader is not open")

// Signal plays at an rf IDEAS reader while Run runs. It returns when the first light is on; what blinks goes on by
// itself until the next signal.
func (s *Source) Signal(ctx context.Context, f gateway.Feedback) error {
	if s.config.Protocol != RFIDeas {
		return reader.ErrNoFeedback
	}
	l := s.lamp.Load()
	if l == nil {
		return fmt.Errorf("signal at serial reader %q: %w", s.config.ID, errNotRunning)
	}
	if err := l.show(ctx, f.Signal); err != nil {
		return fmt.Errorf("signal at serial reader %q: %w", s.config.ID, err)
	}
	return nil
}

// Run keeps the contract of reader.Source. A second Run at once finds the port locked.
func (s *Source) Run(ctx context.Context, out chan<- reader.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	port, err := s.open()
	if err != nil {
		return err
	}
	group, inner := errgroup.WithContext(ctx)
	chunks := make(chan chunk)
	group.Go(func() error {
		<-inner.Done()
		return port.Close()
	})
	if s.config.Protocol == RFIDeas {
		l := newLamp(port, s.log)
		s.lamp.Store(l)
		defer s.lamp.Store(nil)
		group.Go(func() error { return l.run(inner) })
	}
	group.Go(func() error { return s.read(inner, port, chunks) })
	group.Go(func() error { return s.listen(inner, chunks, out) })
	err = group.Wait()
	// A port that we closed and one that was pulled out read alike; only our context tells them apart.
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// chunk is what one read gave.
type chunk struct {
	at    time.Time
	bytes []byte
}

// read passes on what arrives, stamped, until the port fails or is closed.
func (s *Source) read(ctx context.Context, port transport, chunks chan<- chunk) error {
	buf := make([]byte, maxFrame)
	for {
		n, err := port.Read(buf)
		if n > 0 {
			select {
			case chunks <- chunk{time.Now(), bytes.Clone(buf[:n])}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err != nil {
			return fmt.Errorf("read serial port %s: %w (was it unplugged?)", s.config.Device, err)
		}
	}
}

// listen turns chunks into taps until ctx ends.
func (s *Source) listen(ctx context.Context, chunks <-chan chunk, out chan<- reader.Event) error {
	ear := newEar(s.config, s.span, time.Now())
	var ready <-chan time.Time
	if s.config.repeats() {
		ready = time.After(s.span) // a badge that lies there has shown itself by then
	} else if err := s.tell(ctx, out, ear.up(s.wasUp.Swap(true))); err != nil {
		return err
	}
	for {
		var events []reader.Event
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ready:
			ready = nil
			events = append(events, ear.up(s.wasUp.Swap(true)))
		case c := <-chunks:
			events = ear.hear(c)
		}
		for _, e := range events {
			if err := s.tell(ctx, out, e); err != nil {
				return err
			}
		}
	}
}

// tell sends an event; statuses are logged too.
func (s *Source) tell(ctx context.Context, out chan<- reader.Event, e reader.Event) error {
	if status, ok := e.(reader.Status); ok {
		s.log.Info("Reader changed", "state", status.State, "note", status.Note)
	}
	select {
	case out <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

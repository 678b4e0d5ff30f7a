package pcsc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ebfe/scard"

	"tapward/gateway"
	"tapward/reader"
)

// A reader may take reaction for its answers, beyond what it shows meanwhile, which is longestShow at most.
const (
	reaction    = 500 * time.Millisecond
	longestShow = 600 * time.Millisecond
)

// Signal shows f at its reader: amber for seen, green and a beep for granted, amber blinking for a note, red and three
// beeps for refused, red and amber for a fault. It takes as long as the showing does, and about a second if the reader
// does not answer.
func (s *Source) Signal(ctx context.Context, f gateway.Feedback) error {
	i := slices.IndexFunc(s.slots, func(s *slot) bool { return s.ID == f.Reader })
	if i < 0 {
		return fmt.Errorf("signal at reader %q: it is no PC/SC reader of this box", f.Reader)
	}
	done := make(chan error, 1)
	go func() { done <- s.show(ctx, s.slots[i], f.Signal) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("signal at reader %q: %w", f.Reader, ctx.Err())
	}
}

// showOwn shows what was found out here, where nobody waits for an error.
func (s *Source) showOwn(ctx context.Context, slot *slot, signal gateway.Signal) {
	if err := s.show(ctx, slot, signal); err != nil && !errors.Is(err, reader.ErrNoFeedback) {
		slot.log.Debug("Reader did not show it", "signal", signal, "error", err)
	}
}

// escape is what libccid listens on; it must be permitted in its configuration.
var escape = scard.CtlCode(1)

func (s *Source) show(ctx context.Context, slot *slot, signal gateway.Signal) error {
	name := slot.current()
	if name == "" {
		return fmt.Errorf("signal at reader %q: it is not connected", slot.ID)
	}
	p, able := productOf(name)
	if !able || int(signal) >= len(p.signals) {
		return reader.ErrNoFeedback
	}
	err := s.drive(ctx, slot, name, p, func(ctx context.Context, tell tell) error {
		for _, step := range p.signals[signal] {
			if _, err := tell(step.command); err != nil {
				return err
			}
			if step.pause > 0 {
				pause(ctx, step.pause)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("signal at reader %q: %w", slot.ID, err)
	}
	return nil
}

// silence switches off the beep that a reader makes by itself at every card, so that a beep means granted. It says
// whether there is nothing left to do.
func (s *Source) silence(ctx context.Context, slot *slot, name string) bool {
	p, able := productOf(name)
	if !able {
		return true
	}
	err := s.drive(ctx, slot, name, p, func(_ context.Context, tell tell) error { return p.silence(tell) })
	if err != nil {
		slot.log.Debug("Reader's own beep is still on", "error", err)
	}
	return err == nil
}

// drive lets act tell a reader what to do, over a connection of its own that is cut when ctx ends or the reader takes
// too long. One at a time drives a reader; whoever comes meanwhile waits.
func (s *Source) drive(ctx context.Context, slot *slot, name string, p product, act func(context.Context, tell) error) error {
	ctx, cancel := context.WithTimeout(ctx, reaction+longestShow)
	defer cancel()
	select {
	case slot.lights <- struct{}{}:
		defer func() { <-slot.lights }()
	case <-ctx.Done():
		return ctx.Err()
	}
	conn, err := s.daemon.establish(ctx)
	if err != nil {
		return explain(err)
	}
	defer conn.Release()
	defer nudge(ctx, 0, conn.Interrupt)()
	send, disconnect, err := open(conn, name, p)
	if err != nil {
		return err
	}
	defer disconnect()
	return act(ctx, func(command []byte) ([]byte, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		answer, err := send(command)
		if err == nil && !p.done(answer) {
			err = errors.New("the reader did not understand")
		}
		return answer, err
	})
}

// open finds a way to tell the reader something: through a card that lies there, else by an escape.
func open(conn connection, name string, p product) (send tell, close func(), err error) {
	if p.apdus {
		if card, err := conn.Connect(name, scard.ShareShared); err == nil {
			return card.Transmit, func() { card.Disconnect(scard.LeaveCard) }, nil
		}
	}
	reader, err := conn.Connect(name, scard.ShareDirect)
	if err != nil {
		return nil, nil, fmt.Errorf("open the reader itself: %w", err)
	}
	return func(command []byte) ([]byte, error) {
		answer, err := reader.Control(escape, command)
		if err != nil {
			return nil, fmt.Errorf("escape (is it permitted in libccid's configuration?): %w", err)
		}
		return answer, nil
	}, func() { reader.Disconnect(scard.LeaveCard) }, nil
}

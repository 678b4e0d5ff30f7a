package serial

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"tapward/gateway"
)

// writeTime is how long a reader may take to accept a command; one that takes longer has stopped listening.
const writeTime = 500 * time.Millisecond

// step is one command of a pattern, and how long what it shows stays before the next.
type step struct {
	command string
	stay    time.Duration
}

// lamp plays patterns on a reader's light and buzzer; a new one replaces the one under way.
type lamp struct {
	port   transport
	log    *slog.Logger
	orders chan order
	ended  chan struct{} // closed when run has returned

	garbled bool // owned by run: the last command may have been written in part
}

type order struct {
	pattern []step
	written chan error // buffered by one: the outcome of the first step
}

func newLamp(port transport, log *slog.Logger) *lamp {
	return &lamp{port: port, log: log, orders: make(chan order), ended: make(chan struct{})}
}

// run plays until ctx ends.
func (l *lamp) run(ctx context.Context) error {
	defer close(l.ended)
	rest := []step{{command: shine(dark)}}
	next := time.After(0)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case o := <-l.orders:
			next, rest = time.After(o.pattern[0].stay), o.pattern[1:]
			o.written <- l.write(o.pattern[0].command)
		case <-next:
			if len(rest) == 0 {
				next = nil
				continue
			}
			if err := l.write(rest[0].command); err != nil {
				l.log.Debug("Reader did not take a light's command", "error", err)
			}
			next, rest = time.After(rest[0].stay), rest[1:]
		}
	}
}

// write ends a command that was cut short before it begins another.
func (l *lamp) write(command string) error {
	if l.garbled {
		command = "\r" + command
	}
	if err := l.port.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return fmt.Errorf("set time for feedback: %w", err)
	}
	_, err := io.WriteString(l.port, command)
	l.garbled = err != nil
	return err
}

// show begins the pattern of a signal and returns once its first step was written; the rest plays by itself.
func (l *lamp) show(ctx context.Context, signal gateway.Signal) error {
	pattern, ok := rfPatterns[signal]
	if !ok {
		return fmt.Errorf("no light is known for %v", signal)
	}
	o := order{pattern, make(chan error, 1)}
	select {
	case l.orders <- o:
	case <-l.ended:
		return errNotRunning
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-o.written:
		return err
	case <-l.ended:
		return errNotRunning
	case <-ctx.Done():
		return ctx.Err()
	}
}

package reader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tapward/gateway"
)

// The wait before a failed source is run again doubles from shortest to longest, and starts over once it ran healthy.
const (
	shortest = 50 * time.Millisecond
	longest  = 2 * time.Second
	healthy  = 10 * time.Second
)

// Jitter spreads the waits of many sources that failed together; it returns a wait between nothing and the one given.
type Jitter func(wait time.Duration) time.Duration

// Supervise runs source until ctx ends, again and again when it fails, and then returns ctx's error. Its events reach
// out unchanged and in order; after a failure every reader of it that was not known to be down is reported down, and it
// is the source itself that reports them up again. It returns only after source.Run did; whoever calls it reads out
// until then. A panic in the source is not caught.
func Supervise(ctx context.Context, log *slog.Logger, source Source, out chan<- Event, jitter Jitter) error {
	log = log.With("readers", source.Readers())
	down := make(map[gateway.ReaderID]bool)
	wait := shortest
	for {
		lasted, err := runOnce(ctx, source, out, down)
		// A source may fail with a deadline of its own, so its error says nothing about ours.
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if lasted {
			wait = shortest
		}
		if reportDown(source, err, out, down) {
			log.Warn("Reader failed; it is tried again until it is back", "error", err)
		} else {
			log.Debug("Reader still fails", "error", err, "wait", wait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(jitter(wait)):
		}
		wait = min(2*wait, longest)
	}
}

// runOnce runs source and passes its events on, noting which readers are down. It says whether the run lasted.
func runOnce(ctx context.Context, source Source, out chan<- Event, down map[gateway.ReaderID]bool) (lasted bool, err error) {
	events := make(chan Event)
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		for e := range events {
			if s, ok := e.(Status); ok {
				down[s.Reader] = s.State == gateway.ReaderDown
			}
			out <- e
		}
	}()
	defer func() {
		close(events)
		<-passed
	}()
	health := time.After(healthy)
	err = source.Run(ctx, events)
	if err == nil {
		err = errors.New("reader stopped without saying why")
	}
	select {
	case <-health:
		return true, err
	default:
		return false, err
	}
}

// reportDown tells of every reader that was not down already, and whether there was one.
func reportDown(source Source, err error, out chan<- Event, down map[gateway.ReaderID]bool) (told bool) {
	note := fmt.Sprintf("%v. Check that the reader is plugged in and has power; it is tried again by itself.", err)
	for _, id := range source.Readers() {
		if down[id] {
			continue
		}
		down[id], told = true, true
		out <- Status{Reader: id, State: gateway.ReaderDown, Reason: gateway.ReaderUnplugged, Note: note}
	}
	return told
}

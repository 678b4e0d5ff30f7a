package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/gateway/handoff"
	"tapward/reader"
	"tapward/reader/pcsc"
	"tapward/reader/serial"
)

// newSources makes every configured reader: the list of what there can be.
func newSources(c Config, log *slog.Logger) ([]reader.Source, error) {
	var sources []reader.Source
	var errs []error
	if len(c.PCSC) > 0 {
		s, err := pcsc.New(c.pcsc(), log)
		sources, errs = append(sources, s), append(errs, err)
	}
	for _, config := range c.Serial {
		s, err := serial.New(config, log)
		sources, errs = append(sources, s), append(errs, err)
	}
	return sources, errors.Join(errs...)
}

func jitter(wait time.Duration) time.Duration { return wait/2 + rand.N(wait/2) }

// feed takes readers' events to the engine.
func feed(ctx context.Context, events <-chan reader.Event, engine *handoff.Engine) error {
	return pass(ctx, events, func(ctx context.Context, e reader.Event) {
		switch e := e.(type) {
		case reader.Tap:
			engine.Tap(ctx, e.Tap)
		case reader.Status:
			engine.Reader(ctx, e)
		}
	})
}

// pass takes what comes out of a channel to its receiver until ctx ends.
func pass[T any](ctx context.Context, from <-chan T, to func(context.Context, T)) error {
	for {
		select {
		case v := <-from:
			to(ctx, v)
		case <-ctx.Done():
			return nil
		}
	}
}

// lamps show feedback at the readers, one after the other at each, and never make the engine wait.
type lamps struct {
	log    *slog.Logger
	queues map[gateway.ReaderID]queue
}

type queue struct {
	source reader.Source
	todo   chan gateway.Feedback
}

// signalTime bounds one feedback at a reader: half a second for it to react, and what three beeps take.
const signalTime = 1200 * time.Millisecond

func newLamps(sources []reader.Source, log *slog.Logger) lamps {
	l := lamps{log, map[gateway.ReaderID]queue{}}
	for _, s := range sources {
		for _, id := range s.Readers() {
			l.queues[id] = queue{s, make(chan gateway.Feedback, 8)}
		}
	}
	return l
}

// Signal drops the feedback where the reader is that far behind: it would come too late to mean anything.
func (l lamps) Signal(f gateway.Feedback) {
	select {
	case l.queues[f.Reader].todo <- f:
	default:
	}
}

func (l lamps) run(ctx context.Context) error {
	var tasks errgroup.Group
	for id, q := range l.queues {
		tasks.Go(func() error {
			return pass(ctx, q.todo, func(ctx context.Context, f gateway.Feedback) {
				ctx, cancel := context.WithTimeout(ctx, signalTime)
				defer cancel()
				if err := q.source.Signal(ctx, f); err != nil && !errors.Is(err, reader.ErrNoFeedback) && ctx.Err() == nil {
					l.log.Warn("Cannot show feedback", "reader", id, "signal", f.Signal.String(), "err", err)
				}
			})
		})
	}
	return tasks.Wait()
}

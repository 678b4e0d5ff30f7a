package readertest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/reader"
)

// parts are the questions of the exam, each about one promise of reader.Source.
var parts = []struct {
	name string
	run  func(*candidate)
}{
	{"readers are fixed", readersFixed},
	{"one tap for each presentation, in order", oneTapInOrder},
	{"the same badge again after it was taken away is a tap", tapAgain},
	{"a badge that lies there at start is no tap", lyingThere},
	{"run ends with its context, all goroutines ended, and may be called again", runAgain},
	{"a context that is over opens nothing", overBefore},
	{"a badge that nobody waits for does not hold up the end", endsUnread},
	{"noise is no badge and breaks nothing", noise},
	{"unplugged while running is an error or a status", unplugged},
	{"unplugged before start is an error or a status", absent},
	{"supervised, it goes down and comes back", supervised},
	{"signal keeps to its context", signalInTime},
	{"signal while not running does not wait", signalIdle},
}

func readersFixed(c *candidate) {
	before := slices.Clone(c.Source.Readers())
	if !slices.Contains(before, c.Reader) {
		c.t.Fatalf("readers %q lack the stage's reader %q", before, c.Reader)
	}
	s := c.start(c.Source.Run)
	c.await(gateway.ReaderUp)
	s.end()
	if after := c.Source.Readers(); !slices.Equal(before, after) {
		c.t.Errorf("readers changed from %q to %q", before, after)
	}
}

// A second tap of one presentation would come before the next badge's, and fail there.
func oneTapInOrder(c *candidate) {
	s := c.start(c.Source.Run)
	c.await(gateway.ReaderUp)
	for _, badge := range []int{0, 1, 2, 1, 0} {
		c.pass(badge)
	}
	s.end()
}

func tapAgain(c *candidate) {
	s := c.start(c.Source.Run)
	c.await(gateway.ReaderUp)
	for range 3 {
		c.pass(0)
	}
	c.pass(1)
	s.end()
}

func lyingThere(c *candidate) {
	c.Equipment.Present(c.Badges[0])
	for range 2 { // a restart is a start
		s := c.start(c.Source.Run)
		c.await(gateway.ReaderUp)
		s.end()
	}
	s := c.start(c.Source.Run)
	c.await(gateway.ReaderUp)
	c.Equipment.Remove()
	c.pass(1)
	c.pass(0)
	s.end()
}

func runAgain(c *candidate) {
	for range 3 {
		s := c.start(c.Source.Run)
		c.await(gateway.ReaderUp)
		c.pass(0)
		if err := s.end(); !errors.Is(err, context.Canceled) {
			c.t.Errorf("run ended with its context: error %v, want context.Canceled", err)
		}
	}
}

func overBefore(c *candidate) {
	s := c.start(func(ctx context.Context, out chan<- reader.Event) error {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return c.Source.Run(ctx, out)
	})
	if err := s.wait(noTap(c)); !errors.Is(err, context.Canceled) {
		c.t.Errorf("run with a context that is over: error %v, want context.Canceled", err)
	}
}

// The badge's tap may or may not be read by the one that waits for the end; the end must come.
func endsUnread(c *candidate) {
	s := c.start(c.Source.Run)
	c.await(gateway.ReaderUp)
	c.Equipment.Present(c.Badges[0])
	s.stop()
	if err := s.wait(func(reader.Tap) {}); !errors.Is(err, context.Canceled) {
		c.t.Errorf("run ended with its context: error %v, want context.Canceled", err)
	}
	c.Equipment.Remove()
}

func noise(c *candidate) {
	s := c.start(c.Source.Run)
	c.await(gateway.ReaderUp)
	for range 3 {
		c.Equipment.Babble()
		c.pass(0)
	}
	s.end()
}

// downOrEnded waits until the run failed or said that the reader is down.
func (c *candidate) downOrEnded(s *started) {
	c.t.Helper()
	for {
		select {
		case e := <-c.events:
			if status, ok := c.hear(e).(reader.Status); ok && status.Reader == c.Reader && status.State == gateway.ReaderDown {
				c.wordsFor(status)
				s.end()
				return
			}
		case <-s.ended:
			if s.wait(noTap(c)) == nil {
				c.t.Error("run of an unplugged reader: no error, want what happened")
			}
			return
		case <-c.ctx.Done():
			c.t.Fatal("an unplugged reader went unnoticed")
		}
	}
}

func (c *candidate) wordsFor(s reader.Status) {
	if s.Reason == "" || s.Note == "" {
		c.t.Errorf("down: reason %q, note %q; want both", s.Reason, s.Note)
	}
}

func unplugged(c *candidate) {
	s := c.start(c.Source.Run)
	c.await(gateway.ReaderUp)
	c.pass(0)
	c.Equipment.Unplug()
	c.downOrEnded(s)
}

func absent(c *candidate) {
	c.Equipment.Unplug()
	c.downOrEnded(c.start(c.Source.Run))
	c.Equipment.Replug()
	s := c.start(c.Source.Run)
	c.await(gateway.ReaderUp)
	c.pass(0)
	s.end()
}

func supervised(c *candidate) {
	s := c.start(func(ctx context.Context, out chan<- reader.Event) error {
		return reader.Supervise(ctx, slog.New(slog.NewTextHandler(c.log, nil)), c.Source, out,
			func(wait time.Duration) time.Duration { return wait / 2 })
	})
	c.await(gateway.ReaderUp)
	for range 3 {
		c.pass(0)
		c.Equipment.Unplug()
		c.wordsFor(c.await(gateway.ReaderDown))
		c.Equipment.Replug()
		c.await(gateway.ReaderUp)
		c.pass(1)
	}
	if err := s.end(); !errors.Is(err, context.Canceled) {
		c.t.Errorf("supervised run ended with its context: error %v, want context.Canceled", err)
	}
}

var allSignals = []gateway.Signal{gateway.Seen, gateway.Granted, gateway.Note, gateway.Refused, gateway.Fault}

func signalInTime(c *candidate) {
	s := c.start(c.Source.Run)
	c.await(gateway.ReaderUp)
	for _, signal := range allSignals {
		f := gateway.Feedback{Reader: c.Reader, Signal: signal}
		err := c.signal(f, patience/10)
		if c.Feedback && err != nil || !c.Feedback && !errors.Is(err, reader.ErrNoFeedback) {
			c.t.Errorf("signal %v: error %v; the stage's feedback is %v", signal, err, c.Feedback)
		}
		c.signal(f, 0)
	}
	c.pass(0) // what the light did has not disturbed the reading
	s.end()
}

func signalIdle(c *candidate) {
	f := gateway.Feedback{Reader: c.Reader, Signal: gateway.Granted}
	if err := c.signal(f, patience/10); err == nil {
		c.t.Error("signal before the first run: no error, though nobody can have seen it")
	}
	s := c.start(c.Source.Run)
	c.await(gateway.ReaderUp)
	s.end()
	if err := c.signal(f, patience/10); err == nil {
		c.t.Error("signal after a run: no error, though nobody can have seen it")
	}
	c.Equipment.Unplug()
	c.signal(f, patience/10)
}

// signal calls Signal with that much time and fails the part if it takes much longer, reading out meanwhile.
func (c *candidate) signal(f gateway.Feedback, time time.Duration) error {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, time)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Source.Signal(ctx, f) }()
	for {
		select {
		case err := <-done:
			if err != nil {
				c.words = append(c.words, err.Error())
			}
			return err
		case e := <-c.events:
			if tap, ok := c.hear(e).(reader.Tap); ok {
				noTap(c)(tap)
			}
		case <-c.ctx.Done():
			c.t.Fatalf("signal %v with %v to go did not return", f.Signal, time)
		}
	}
}

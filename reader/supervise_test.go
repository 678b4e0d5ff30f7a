package reader_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/reader"
	"tapward/reader/readertest"
)

// script is a Source with two readers whose runs are given one by one; when they are used up it runs until stopped.
type script struct {
	runs    []func(ctx context.Context, out chan<- reader.Event) error
	started []time.Time
}

func (s *script) Readers() []gateway.ReaderID                          { return []gateway.ReaderID{"door", "dock"} }
func (s *script) Signal(ctx context.Context, _ gateway.Feedback) error { return reader.ErrNoFeedback }

func (s *script) Run(ctx context.Context, out chan<- reader.Event) error {
	s.started = append(s.started, time.Now())
	if len(s.runs) == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	run := s.runs[0]
	s.runs = s.runs[1:]
	return run(ctx, out)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func whole(wait time.Duration) time.Duration { return wait }

var errPulled = errors.New("pulled out")

// supervise runs s in a bubble for that long, and gives what came out of it.
func supervise(t *testing.T, s *script, long time.Duration) (events []reader.Event, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	out, ended := make(chan reader.Event), make(chan error, 1)
	go func() { ended <- reader.Supervise(ctx, quiet, s, out, whole) }()
	for {
		select {
		case e := <-out:
			events = append(events, e)
		case err := <-ended:
			return events, err
		}
	}
}

func fails(context.Context, chan<- reader.Event) error { return errPulled }

func upThenFails(_ context.Context, out chan<- reader.Event) error {
	out <- reader.Status{Reader: "door", State: gateway.ReaderUp}
	out <- reader.Status{Reader: "dock", State: gateway.ReaderUp}
	return errPulled
}

func TestWaitsDoubleUpToTheLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{runs: slices.Repeat([]func(context.Context, chan<- reader.Event) error{fails}, 9)}
		_, err := supervise(t, s, time.Minute)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
		var waits []time.Duration
		for i := 1; i < len(s.started); i++ {
			waits = append(waits, s.started[i].Sub(s.started[i-1]).Round(time.Microsecond))
		}
		const ms = time.Millisecond
		want := []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 2000 * ms, 2000 * ms, 2000 * ms}
		if !slices.Equal(waits, want) {
			t.Errorf("waits %v, want %v", waits, want)
		}
	})
}

func TestAHealthyRunStartsTheWaitsAnew(t *testing.T) {
	lasts := func(d time.Duration) func(context.Context, chan<- reader.Event) error {
		return func(context.Context, chan<- reader.Event) error {
			<-time.After(d)
			return errPulled
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := &script{runs: []func(context.Context, chan<- reader.Event) error{
			fails, fails, fails, lasts(5 * time.Second), fails, lasts(11 * time.Second), fails,
		}}
		supervise(t, s, time.Minute)
		const ms = time.Millisecond
		for i, want := range []time.Duration{50 * ms, 100 * ms, 200 * ms, 5400 * ms, 800 * ms, 11050 * ms, 100 * ms} {
			if got := s.started[i+1].Sub(s.started[i]); got != want {
				t.Errorf("run %d began %v after the one before, want %v", i+1, got, want)
			}
		}
	})
}

func TestDownIsToldOnceForEachReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{runs: []func(context.Context, chan<- reader.Event) error{fails, fails, upThenFails, fails}}
		events, _ := supervise(t, s, time.Minute)
		var told []string
		for _, e := range events {
			s := e.(reader.Status)
			told = append(told, fmt.Sprintf("%s %s", s.Reader, s.State))
			if s.State == gateway.ReaderDown && (s.Reason != gateway.ReaderUnplugged || s.Note == "") {
				t.Errorf("%s down: reason %q, note %q", s.Reader, s.Reason, s.Note)
			}
		}
		want := []string{"door down", "dock down", "door up", "dock up", "door down", "dock down"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

func TestWhatTheSourceSaidIsNotSaidAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{runs: []func(context.Context, chan<- reader.Event) error{
			func(_ context.Context, out chan<- reader.Event) error {
				out <- reader.Status{Reader: "door", State: gateway.ReaderDown, Note: "its own words"}
				out <- reader.Status{Reader: "dock", State: gateway.ReaderDegraded}
				return errPulled
			},
		}}
		events, _ := supervise(t, s, time.Minute)
		if len(events) != 3 || events[2].(reader.Status).Reader != "dock" {
			t.Errorf("events %+v: want only the dock to be told down after the source's two", events)
		}
	})
}

// A source's own time-out is a failure like any other; so is an end without a word.
func TestOnlyItsOwnContextEndsIt(t *testing.T) {
	for _, err := range []error{context.DeadlineExceeded, context.Canceled, nil} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{runs: []func(context.Context, chan<- reader.Event) error{
				func(context.Context, chan<- reader.Event) error { return err },
			}}
			events, _ := supervise(t, s, time.Minute)
			if len(s.started) != 2 || len(events) != 2 {
				t.Errorf("a run that ended with %v: %d runs and %d events, want another run and both readers down",
					err, len(s.started), len(events))
			}
		})
	}
}

func TestAStopIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if events, _ := supervise(t, &script{}, time.Minute); len(events) != 0 {
			t.Errorf("events %+v after an orderly stop, want none", events)
		}
	})
}

func TestAPanicIsNotHidden(t *testing.T) {
	s := &script{runs: []func(context.Context, chan<- reader.Event) error{
		func(context.Context, chan<- reader.Event) error { panic("broken driver") },
	}}
	defer func() {
		if recovered := recover(); recovered != "broken driver" {
			t.Errorf("recovered %v, want the source's panic", recovered)
		}
	}()
	reader.Supervise(t.Context(), quiet, s, make(chan reader.Event), whole)
	t.Error("supervision went on after a panic")
}

// The tap that was delivered before the failure counts once, and the source goes on.
func TestAFailureAfterATap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := readertest.NewReader("door", gateway.OriginPCSC, gateway.UID)
		ctx, cancel := context.WithCancel(t.Context())
		out, ended := make(chan reader.Event, 10), make(chan error, 1)
		go func() { ended <- reader.Supervise(ctx, quiet, r, out, whole) }()
		synctest.Wait()
		r.Fail(readertest.TapThenError)
		r.Present([]byte{1, 2, 3, 4})
		<-time.After(time.Second)
		cancel()
		<-ended
		var kinds []string
		for len(out) > 0 {
			if s, ok := (<-out).(reader.Status); ok {
				kinds = append(kinds, s.State.String())
			} else {
				kinds = append(kinds, "tap")
			}
		}
		if want := []string{"up", "tap", "down", "up"}; !slices.Equal(kinds, want) {
			t.Errorf("events %q, want %q", kinds, want)
		}
	})
}

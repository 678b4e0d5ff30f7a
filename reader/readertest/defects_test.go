package readertest_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/reader"
	"tapward/reader/readertest"
)

// defective is the in-memory reader with one thing wrong in it.
type defective struct {
	*readertest.Reader
	run    func(d *defective, ctx context.Context, out chan<- reader.Event) error
	signal func(ctx context.Context, f gateway.Feedback) error
	log    *slog.Logger
}

func (d *defective) Run(ctx context.Context, out chan<- reader.Event) error {
	if d.run == nil {
		return d.Reader.Run(ctx, out)
	}
	return d.run(d, ctx, out)
}

func (d *defective) Signal(ctx context.Context, f gateway.Feedback) error {
	if d.signal == nil {
		return d.Reader.Signal(ctx, f)
	}
	return d.signal(ctx, f)
}

// through runs the reader with every event turned into those that turn gives.
func through(turn func(d *defective, e reader.Event) []reader.Event) func(*defective, context.Context, chan<- reader.Event) error {
	return func(d *defective, ctx context.Context, out chan<- reader.Event) error {
		inner, ended := make(chan reader.Event), make(chan error, 1)
		go func() { ended <- d.Reader.Run(ctx, inner) }()
		for {
			select {
			case err := <-ended:
				return err
			case e := <-inner:
				for _, e := range turn(d, e) {
					out <- e
				}
			}
		}
	}
}

func onTap(turn func(d *defective, tap reader.Tap) []reader.Event) func(*defective, context.Context, chan<- reader.Event) error {
	return through(func(d *defective, e reader.Event) []reader.Event {
		if tap, ok := e.(reader.Tap); ok {
			return turn(d, tap)
		}
		return []reader.Event{e}
	})
}

// defects each break one promise of the contract.
var defects = map[string]defective{
	"taps twice": {run: onTap(func(_ *defective, tap reader.Tap) []reader.Event { return []reader.Event{tap, tap} })},
	"loses the badge it had before": {run: func() func(*defective, context.Context, chan<- reader.Event) error {
		var last gateway.Credential
		return onTap(func(_ *defective, tap reader.Tap) []reader.Event {
			if tap.Credential.Equal(last) {
				return nil
			}
			last = tap.Credential
			return []reader.Event{tap}
		})
	}()},
	"taps what lies there": {run: through(func(_ *defective, e reader.Event) []reader.Event {
		if s, ok := e.(reader.Status); ok && s.State == gateway.ReaderUp {
			tap := gateway.Tap{Reader: s.Reader, Origin: gateway.OriginPCSC, At: time.Now(),
				Credential: gateway.NewCredential(gateway.UID, badges[0]), Assurance: gateway.Assurance{Card: gateway.CardNumber}}
			return []reader.Event{e, reader.Tap{Tap: tap}}
		}
		return []reader.Event{e}
	})},
	"claims another reader": {run: onTap(func(_ *defective, tap reader.Tap) []reader.Event {
		tap.Reader = "window"
		return []reader.Event{tap}
	})},
	"claims a proof it has not": {run: onTap(func(_ *defective, tap reader.Tap) []reader.Event {
		tap.Assurance.Card = gateway.CardNone
		return []reader.Event{tap}
	})},
	"logs the number": {run: onTap(func(d *defective, tap reader.Tap) []reader.Event {
		d.log.Debug("Badge read", "uid", fmt.Sprintf("%x", badges[0]))
		return []reader.Event{tap}
	})},
	"leaves a goroutine": {run: func(d *defective, ctx context.Context, out chan<- reader.Event) error {
		go func() { <-time.After(time.Hour) }()
		return d.Reader.Run(ctx, out)
	}},
	"ends without an error": {run: func(d *defective, ctx context.Context, out chan<- reader.Event) error {
		d.Reader.Run(ctx, out)
		return nil
	}},
	"never says that it is up": {run: through(func(_ *defective, e reader.Event) []reader.Event {
		if _, ok := e.(reader.Status); ok {
			return nil
		}
		return []reader.Event{e}
	})},
	"does not notice the cable": {run: func(d *defective, ctx context.Context, out chan<- reader.Event) error {
		d.Reader.Run(ctx, out)
		<-ctx.Done()
		return ctx.Err()
	}},
	"signals slower than asked": {signal: func(ctx context.Context, _ gateway.Feedback) error {
		<-time.After(time.Hour)
		return nil
	}},
	"says it has no light":   {signal: func(context.Context, gateway.Feedback) error { return reader.ErrNoFeedback }},
	"shows without a reader": {signal: func(context.Context, gateway.Feedback) error { return nil }},
}

const defectVariable = "READERTEST_DEFECT"

// The exam is worth sitting only if it fails who breaks a promise: each defect sits it in a process of its own, which
// must fail.
func TestExamFailsDefects(t *testing.T) {
	if name := os.Getenv(defectVariable); name != "" {
		readertest.RunInBubble(t, func(t *testing.T, log *slog.Logger) *readertest.Stage {
			stage := memory(t, log)
			d := defects[name]
			d.Reader, d.log = stage.Source.(*readertest.Reader), log
			stage.Source = &d
			return stage
		})
		return
	}
	for name := range defects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^"+strings.Split(t.Name(), "/")[0]+"$")
			cmd.Env = append(os.Environ(), defectVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL") {
				t.Errorf("passed the exam, or failed otherwise (%v):\n%s", err, out)
			}
		})
	}
}

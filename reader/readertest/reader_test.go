package readertest_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/reader"
	"tapward/reader/readertest"
)

var badges = [3][]byte{{4, 17, 34, 51, 68, 85, 128}, {4, 17, 34, 51, 68, 85, 129}, {0xDE, 0xAD, 0xBE, 0xEF}}

func memory(*testing.T, *slog.Logger) *readertest.Stage {
	r := readertest.NewReader("door", gateway.OriginPCSC, gateway.UID)
	return &readertest.Stage{
		Source: r, Equipment: r, Reader: "door", Origin: gateway.OriginPCSC, Kind: gateway.UID, Feedback: true,
		Badges: badges,
	}
}

func TestExam(t *testing.T)         { readertest.Run(t, memory) }
func TestExamInBubble(t *testing.T) { readertest.RunInBubble(t, memory) }

// running starts a reader in a bubble and gives its events, buffered, after the first status.
func running(t *testing.T) (*readertest.Reader, chan reader.Event, chan error) {
	r := readertest.NewReader("door", gateway.OriginPCSC, gateway.UID)
	events, ended := make(chan reader.Event, 10), make(chan error, 1)
	go func() { ended <- r.Run(t.Context(), events) }()
	<-events
	return r, events, ended
}

func TestTapLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, events, _ := running(t)
		r.Fail(readertest.TapLost)
		r.Present([]byte{1, 2, 3, 4})
		synctest.Wait()
		if len(events) != 0 {
			t.Error("the tap was delivered")
		}
		r.Present([]byte{1, 2, 3, 4})
		synctest.Wait()
		if len(events) != 1 {
			t.Error("a failure lasted longer than once")
		}
	})
}

func TestTapThenError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, events, ended := running(t)
		r.Fail(readertest.TapThenError)
		r.Present([]byte{1, 2, 3, 4})
		if err := <-ended; !errors.Is(err, readertest.ErrFailure) || len(events) != 1 {
			t.Errorf("error %v with %d events, want ErrFailure after the tap", err, len(events))
		}
	})
}

func TestSignalFailures(t *testing.T) {
	for _, test := range []struct {
		name    string
		failure readertest.Failure
		shown   int
		err     error
	}{
		{"lost", readertest.SignalLost, 0, readertest.ErrFailure},
		{"shown and denied", readertest.SignalShown, 1, readertest.ErrFailure},
		{"pretended", readertest.SignalPretended, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _, _ := running(t)
				r.Fail(test.failure)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := r.Signal(ctx, gateway.Feedback{Reader: "door", Signal: gateway.Granted})
				if !errors.Is(err, test.err) || len(r.Shown()) != test.shown {
					t.Errorf("error %v with %d shown, want %v with %d", err, len(r.Shown()), test.err, test.shown)
				}
			})
		})
	}
}

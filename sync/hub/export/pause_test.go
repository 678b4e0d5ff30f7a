package export

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestPause doubles up to the longest, differs by chance, and obeys a receiver that names a time, within reason.
func TestPause(t *testing.T) {
	f := &feed{exporter: &Exporter{config: Config{First: time.Second, Most: time.Minute}}}
	down, seen := errors.New("down"), map[time.Duration]bool{}
	for f.failures = 1; f.failures <= 100; f.failures++ {
		full := time.Minute
		if f.failures <= 6 {
			full = time.Second << (f.failures - 1)
		}
		for range 20 {
			got := f.pause(down)
			if seen[got] = true; got < full/2 || got > full {
				t.Fatalf("after %d failures: %v, want %v to %v", f.failures, got, full/2, full)
			}
		}
	}
	if len(seen) < 1000 {
		t.Errorf("only %d different waits", len(seen))
	}
	f.failures = 1
	if got := f.pause(fmt.Errorf("wrapped: %w", &Busy{10 * time.Minute, down})); got != 10*time.Minute {
		t.Errorf("asked for ten minutes, waits %v", got)
	}
	if got := f.pause(&Busy{240 * time.Hour, down}); got != time.Hour {
		t.Errorf("asked for ten days, waits %v", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	for _, header := range []string{"", "7", "-1", "99999999999999999999", now.Add(time.Minute).Format(http.TimeFormat), now.Add(-time.Minute).Format(http.TimeFormat), "soon"} {
		f.Add(header)
	}
	if got := retryAfter(now.Add(time.Minute).Format(http.TimeFormat), now); got != time.Minute {
		f.Errorf("a date in a minute: %v", got)
	}
	if got := retryAfter("7", now); got != 7*time.Second {
		f.Errorf("7: %v", got)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if got := retryAfter(header, now); got < 0 {
			t.Errorf("%q: %v", header, got)
		}
	})
}

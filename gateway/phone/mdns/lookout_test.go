package mdns

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// patience is how long a test waits for what must happen.
const patience = 15 * time.Second

// lookout reads a Browser at work.
type lookout struct {
	t    *testing.T
	seen chan phone.Sighting
	stop func()
}

// browse runs b until the test ends, or stop is called.
func browse(t *testing.T, b *Browser) *lookout {
	t.Helper()
	l := &lookout{t: t, seen: make(chan phone.Sighting)}
	l.stop = during(t, func(ctx context.Context) error { return b.Run(ctx, l.seen) })
	return l
}

func newTestBrowser(service string, interfaces ...string) *Browser {
	return NewBrowser(Browse{Service: service, Interfaces: interfaces, Log: slog.New(slog.DiscardHandler)})
}

// during runs f until stop is called or the test ends, and expects it to end with ctx's error.
func during(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// await reads sightings until one is of name with an address.
func (l *lookout) await(name, addr string) phone.Sighting {
	l.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case s := <-l.seen:
			for _, a := range s.Addrs {
				if s.Name == name && a.String() == addr {
					return s
				}
			}
		case <-deadline:
			l.t.Fatalf("%s at %s was not found in %v", name, addr, patience)
		}
	}
}

// awaitAll reads sightings until every wanted trait was seen in one.
func (l *lookout) awaitAll(trait func(phone.Sighting) string, wanted ...string) {
	l.t.Helper()
	missing := slices.Clone(wanted)
	deadline := time.After(patience)
	for len(missing) > 0 {
		select {
		case s := <-l.seen:
			missing = slices.DeleteFunc(missing, func(w string) bool { return w == trait(s) })
		case <-deadline:
			l.t.Fatalf("not found in %v: %v", patience, missing)
		}
	}
}

func nameOf(s phone.Sighting) string { return s.Name }

// withPace looks for phones on the ward only, with rounds of a given length.
func withPace(pace func(int) time.Duration) *Browser {
	b := newTestBrowser(PhoneService, wardName)
	b.pace = pace
	return b
}

// often makes rounds so short that what the schedule is for can be seen in a test; once has no second round unless the
// network changes, so that no schedule can make up for what is to be shown.
func often(int) time.Duration { return 500 * time.Millisecond }
func once(int) time.Duration  { return time.Hour }

func keyOf(name string) gateway.Fingerprint { return gateway.FingerprintOf([]byte(name)) }

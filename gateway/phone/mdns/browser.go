package mdns

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// Browse says what to look for.
type Browse struct {
	Service    string   // PhoneService or BoxService
	Interfaces []string // names; empty: every one that does multicast, without loopback
	Ports      Ports    // zero: every port from 1024 up

	// Known tells names and keys that are paired, which a flood of invented ones must not crowd out. It is called by
	// Run and must not block; nil: none is.
	Known func(name string, key gateway.Fingerprint) bool

	Log *slog.Logger
}

// Ports is a range, both ends included.
type Ports struct{ Min, Max uint16 }

// Browser reports the adverts of one service.
type Browser struct {
	Browse
	pace func(attempt int) time.Duration
}

// NewBrowser starts nothing.
func NewBrowser(b Browse) *Browser { return &Browser{Browse: b, pace: pace} }

// pace is how long a round lasts. After a start or a change of the network the questions go out at 0, 1 and 3 s: an
// answer may be lost, and a responder that has just announced itself stays silent for a second (RFC 6762 section 6).
func pace(attempt int) time.Duration {
	switch attempt {
	case 0:
		return time.Second
	case 1:
		return 2 * time.Second
	}
	return 30*time.Second + rand.N(30*time.Second)
}

const (
	settle     = 200 * time.Millisecond // from the first sign of a change until the network is looked at anew
	maxPending = 1024                   // sightings kept for a slow reader; the oldest are dropped
)

// Run sends sightings until ctx ends, whose error it returns, or until the network cannot be watched. A reader of out
// that is slow or stuck delays nothing but itself. Every advert is told again from time to time. The network being
// away is no error. Run may be called again after it returned.
func (b *Browser) Run(ctx context.Context, out chan<- phone.Sighting) error {
	tasks, ctx := errgroup.WithContext(ctx)
	changed := make(chan struct{}, 1)
	tasks.Go(func() error { return watch(ctx, changed) })
	tasks.Go(func() error { return b.listen(ctx, changed, out) })
	return tasks.Wait()
}

func (b *Browser) listen(ctx context.Context, changed <-chan struct{}, out chan<- phone.Sighting) error {
	s := search{Browser: b, claims: make(chan claim, 256), crowded: make(chan struct{}), filter: newFilter(b.Ports, b.Known)}
	defer func() { s.round.close() }()
	renew := time.NewTimer(0)
	defer renew.Stop()
	var settled <-chan time.Time
	for {
		first, to := s.first(out)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			if settled == nil {
				settled = time.After(settle)
			}
		case <-settled:
			settled = nil
			if s.moved() {
				renew.Reset(0)
			}
		case <-s.crowded:
			renew.Reset(settle)
		case <-renew.C:
			renew.Reset(s.renew(ctx))
		case c := <-s.claims:
			s.take(c)
		case to <- first:
			s.pending = s.pending[1:]
		}
	}
}

// search is the state of a running Browser; it belongs to the goroutine of listen.
type search struct {
	*Browser
	network network
	round   *round
	attempt int
	failing error // why the latest round could not be opened

	claims  chan claim
	crowded chan struct{}
	filter  *filter
	pending []phone.Sighting
}

// first is the oldest pending sighting, and out where there is one.
func (s *search) first(out chan<- phone.Sighting) (phone.Sighting, chan<- phone.Sighting) {
	if len(s.pending) == 0 {
		return phone.Sighting{}, nil
	}
	return s.pending[0], out
}

// moved looks at the network and says that it is not what it was.
func (s *search) moved() bool {
	n, err := look(s.Interfaces)
	if err != nil {
		s.Log.Warn("mdns: look at the network", "error", err)
		return false
	}
	if n.equal(s.network) {
		return false
	}
	s.attempt = 0
	return true
}

// renew replaces the round and says when to do it again. The old one is closed after the new one has asked, and kept
// where there is no new one.
func (s *search) renew(ctx context.Context) time.Duration {
	n, err := look(s.Interfaces)
	var next *round
	if err == nil {
		next, err = open(ctx, s.Service, n, s.claims, s.crowded)
	}
	s.tell(err)
	if err == nil {
		if next.failed != nil {
			s.Log.Debug("mdns: browse without one family", "service", s.Service, "error", next.failed)
		}
		s.round.close()
		if !n.equal(s.network) {
			s.filter.retell()
		}
		s.round, s.network = next, n
	}
	s.attempt++
	return s.pace(s.attempt - 1)
}

// tell logs when browsing begins to fail and when it works again.
func (s *search) tell(err error) {
	switch {
	case err != nil && s.failing == nil:
		s.Log.Warn("mdns: browse", "service", s.Service, "error", err)
	case err == nil && s.failing != nil:
		s.Log.Info("mdns: browsing again", "service", s.Service)
	}
	s.failing = err
}

func (s *search) take(c claim) {
	sighting, err := s.filter.admit(c, s.network, time.Now())
	if err != nil {
		if !errors.Is(err, errAgain) && !errors.Is(err, errFlood) {
			s.Log.Debug("mdns: advert refused", "service", s.Service, "error", err)
		}
		return
	}
	if len(s.pending) == maxPending {
		s.pending = s.pending[1:]
	}
	s.pending = append(s.pending, sighting)
}

package release

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/sync/hub/database"
	"tapward/sync/uplink"
)

// Broker is the hub's hold on the streams and buckets.
type Broker interface {
	Ready() <-chan struct{}
	JetStream() jetstream.JetStream // from Ready on
}

// Boxes knows who is enrolled.
type Boxes interface {
	Boxes(ctx context.Context) ([]Box, error)
}

// Box is one box of the site that may take releases.
type Box struct {
	ID   gateway.BoxID
	Ward string
}

// Config is of the site.
type Config struct {
	Site string
	Key  ed25519.PrivateKey // the release key
	Beat time.Duration      // between two signatures of the same revocations; 0: a minute
}

// Releases keeps what was released. Make it with New and start it with Run; any number of hubs may share one database
// and broker.
type Releases struct {
	config Config
	db     *database.DB
	broker Broker
	boxes  Boxes
	events Events
	log    *slog.Logger

	compared chan struct{} // closed once the broker's releases were compared with the database's
	decided  chan struct{} // holds a token while something waits to be published
	happened chan struct{} // holds a token while an event waits to be told

	mu      sync.Mutex
	listed  chan struct{} // closed once every report that the broker has is in reports
	changed chan struct{}
	reports map[gateway.BoxID]Standing
	reached map[progress]uint64 // as in the database
}

type progress struct {
	box  gateway.BoxID
	kind uplink.Kind
}

// compactEach is how often it is looked for revocations that no longer matter.
const compactEach = time.Hour

// New checks the configuration; it starts nothing.
func New(config Config, db *database.DB, broker Broker, boxes Boxes, events Events, log *slog.Logger) (*Releases, error) {
	if !gateway.ValidLabel(config.Site) {
		return nil, errors.New("releases: the site must be " + gateway.LabelRule)
	}
	if len(config.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("releases: there is no release key")
	}
	if config.Beat == 0 {
		config.Beat = time.Minute
	}
	return &Releases{
		config: config, db: db, broker: broker, boxes: boxes, events: events, log: log,
		compared: make(chan struct{}), decided: make(chan struct{}, 1), happened: make(chan struct{}, 1),
		listed: make(chan struct{}), changed: make(chan struct{}), reports: map[gateway.BoxID]Standing{}, reached: map[progress]uint64{},
	}, nil
}

// Run publishes, listens to reports and tells events until ctx ends.
func (r *Releases) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.broker.Ready():
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { r.publishAll(ctx); return nil })
	g.Go(func() error { r.listen(ctx); return nil })
	g.Go(func() error { r.tellAll(ctx); return nil })
	g.Go(func() error { r.compactAll(ctx); return nil })
	return g.Wait()
}

// again calls do until it succeeds, a little later each time. False: ctx ended.
func (r *Releases) again(ctx context.Context, what string, do func(context.Context) error) bool {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := do(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() == nil {
			r.log.Error("Cannot "+what+"; trying on", "err", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

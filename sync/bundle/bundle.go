package bundle

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/sync/uplink"
)

// Kinds are the releases that a box takes. A roster comes within the policy's document.
var Kinds = []uplink.Kind{uplink.Policy, uplink.Revocations}

// Hub is the connection to the hospital.
type Hub interface {
	// Watch gives the newest release of each kind to deliver, and every newer one, until ctx ends. One may come twice, and an
	// older one after a newer.
	Watch(ctx context.Context, deliver func(kind uplink.Kind, signed []byte), kinds ...uplink.Kind) error
	// Report replaces this box's report.
	Report(ctx context.Context, report []byte) error
}

// Engine runs the ward.
type Engine interface {
	// Do returns when the act is durable, or why it was not done.
	Do(ctx context.Context, operator string, act gateway.Act) error
	Ward() (w *gateway.Ward, changed <-chan struct{})
}

// Config says which box this is.
type Config struct {
	Address uplink.Address
	Ward    string
	Version string            // of the program
	Key     ed25519.PublicKey // the hub's release key
	// Stored is up to where the hospital has this box's log.
	Stored func() (epoch uint32, size int64)
}

// State is what the station and the metrics show.
type State struct {
	Issued  time.Time // when the hub signed the newest revocations that came, by its clock; zero: none came yet
	Heard   time.Time // when they came, by this box's clock since it started; zero: none came since
	Refused map[uplink.Kind]string
}

// Bundle takes releases. Make it with New and start it with Run.
type Bundle struct {
	config Config
	hub    Hub
	engine Engine
	log    *slog.Logger
	come   chan message
	tell   chan struct{} // holds a token while there is something new to report

	waiting map[uplink.Kind]uplink.Release // could not be put into force yet; owned by the goroutine that installs

	mu      sync.Mutex
	state   State
	applied map[uplink.Kind]uplink.Applied // since the start; the ward's picture may lag behind
	refused map[uplink.Kind]gateway.Digest // of bodies that the engine will never take
}

type message struct {
	kind   uplink.Kind
	signed []byte
}

// reportEvery is how often the box reports although nothing changed, and tries again what could not be done.
const reportEvery = 30 * time.Second

// New checks the configuration; it starts nothing.
func New(config Config, hub Hub, engine Engine, log *slog.Logger) (*Bundle, error) {
	if err := config.Address.Valid(); err != nil {
		return nil, err
	}
	if len(config.Key) != ed25519.PublicKeySize || config.Ward == "" || config.Stored == nil {
		return nil, errors.New("releases: the ward, the hub's release key and the log's standing must be given")
	}
	w, _ := engine.Ward()
	return &Bundle{
		config: config, hub: hub, engine: engine, log: log,
		come: make(chan message), tell: make(chan struct{}, 1), waiting: map[uplink.Kind]uplink.Release{},
		state:   State{Issued: w.Revoked.Issued, Refused: map[uplink.Kind]string{}},
		applied: map[uplink.Kind]uplink.Applied{}, refused: map[uplink.Kind]gateway.Digest{},
	}, nil
}

// State is how it is now.
func (b *Bundle) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	s.Refused = make(map[uplink.Kind]string, len(b.state.Refused))
	for k, why := range b.state.Refused {
		s.Refused[k] = why
	}
	return s
}

// Run takes releases and reports until ctx ends.
func (b *Bundle) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return b.hub.Watch(ctx, func(kind uplink.Kind, signed []byte) {
			select {
			case b.come <- message{kind, signed}:
			case <-ctx.Done():
			}
		}, Kinds...)
	})
	g.Go(func() error { b.install(ctx); return nil })
	g.Go(func() error { b.reportAll(ctx); return nil })
	return g.Wait()
}

// install is the one goroutine that puts releases into force.
func (b *Bundle) install(ctx context.Context) {
	again := time.NewTicker(reportEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-b.come:
			b.receive(ctx, m)
		case <-again.C:
			for _, r := range b.waiting {
				b.take(ctx, r)
			}
		}
	}
}

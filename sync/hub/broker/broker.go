// Package broker is the hospital's side of NATS: an embedded server or a cluster of the hospital's own, the streams and
// buckets that boxes and hub meet in, the answer to every box that wants in, and the cut of those that no longer may.
//
// Boxes live in an account of their own, without streams. What they publish reaches the hub's account by service
// imports. That is more than order: within one account a box could name a foreign subject as the reply to its own
// publish, and JetStream's answer would be stored there although the box may not publish there.
package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/sync/uplink"
)

// Authorizer knows which box a client certificate belongs to. The broker's TLS has verified that it was issued by the
// boxes' CA and is within its dates.
type Authorizer interface {
	// Authorize gives the box's address and ward, or why it is refused. An error means that this could not be found out:
	// the box is not let in and comes again. It is called at the same time from several goroutines.
	Authorize(ctx context.Context, certificate *x509.Certificate) (a uplink.Address, ward string, refused gateway.Reason, err error)
}

// Config says where the broker is and what it keeps.
type Config struct {
	Keys Keys

	// Embedded runs the broker within the hub; nil: it is at URLs.
	Embedded *Embedded
	URLs     []string    // of a cluster that was configured with Keys.ServerConfig
	TLS      *tls.Config // towards URLs: the cluster's CA, and the hub's certificate for it

	Replicas int           // of every stream; 0: 1
	Limits   Limits        // zero: DefaultLimits
	Lease    time.Duration // the longest time until a connected box must ask again; 0: 6 hours; never longer than its certificate
}

// Embedded is a broker within the hub's process.
type Embedded struct {
	Dir      string      // for JetStream
	Listen   string      // host:port; "": 127.0.0.1:4222
	TLS      *tls.Config // the server's certificate, and the boxes' CA in ClientCAs
	MaxStore int64       // bytes for all streams; 0: three quarters of what the disk has
}

// Broker is the hub's hold on NATS. Make it with New and start it with Run.
type Broker struct {
	config Config
	boxes  Authorizer
	log    *slog.Logger

	ready chan struct{}
	again chan uplink.Address // cut once more after a while
	meter *meter
	said  said // refusals

	mu         sync.Mutex
	durability Durability
	address    string
	hub        *nats.Conn
	system     *nats.Conn
	js         jetstream.JetStream
}

// New checks the configuration; it starts nothing.
func New(config Config, boxes Authorizer, log *slog.Logger) (*Broker, error) {
	if config.Limits == (Limits{}) {
		config.Limits = DefaultLimits
	}
	if config.Replicas == 0 {
		config.Replicas = 1
	}
	if config.Lease == 0 {
		config.Lease = 6 * time.Hour
	}
	if err := config.valid(); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return &Broker{
		config: config, boxes: boxes, log: log,
		ready: make(chan struct{}), again: make(chan uplink.Address, 1024), meter: newMeter(config.Limits.Day),
		durability: Durability{State: Unverifiable, What: []string{"not looked at yet"}},
	}, nil
}

func (c Config) valid() error {
	if err := c.Keys.valid(); err != nil {
		return err
	}
	if err := c.Limits.valid(); err != nil {
		return err
	}
	switch {
	case c.Embedded == nil && len(c.URLs) == 0:
		return errors.New("neither embedded nor at any address")
	case c.Embedded != nil && len(c.URLs) > 0:
		return errors.New("both embedded and at addresses: choose one")
	case c.Embedded != nil && c.Replicas > 1:
		return fmt.Errorf("an embedded broker is one server and cannot hold %d replicas", c.Replicas)
	case c.Embedded != nil && (c.Embedded.Dir == "" || c.Embedded.TLS == nil || c.Embedded.TLS.ClientCAs == nil):
		return errors.New("an embedded broker needs a folder, a certificate and the boxes' CA")
	case c.Embedded == nil && (c.TLS == nil || c.TLS.RootCAs == nil):
		return errors.New("a broker at an address needs its CA")
	}
	return nil
}

// Ready is closed when the streams and buckets are there and boxes are answered.
func (b *Broker) Ready() <-chan struct{} { return b.ready }

// JetStream is the hub's access to every stream and bucket, from Ready on.
func (b *Broker) JetStream() jetstream.JetStream {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.js
}

// Connected says whether the hub reaches its broker now.
func (b *Broker) Connected() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hub != nil && b.hub.IsConnected()
}

// Address is host:port of the embedded broker, "" before Ready or where it is external.
func (b *Broker) Address() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.address
}

// Run starts the broker where it is embedded, connects, and serves until ctx ends.
func (b *Broker) Run(ctx context.Context) error {
	var embedded *server.Server
	if b.config.Embedded != nil {
		s, err := b.config.Embedded.start(b.config.Keys, b.log)
		if err != nil {
			return fmt.Errorf("start broker: %w", err)
		}
		embedded = s
		defer func() { s.Shutdown(); s.WaitForShutdown() }()
	}
	hub, err := b.connect(ctx, "hub", b.config.Keys.Hub, embedded)
	if err != nil {
		return err
	}
	defer hub.Close()
	system, err := b.connect(ctx, "hub's look at the servers", b.config.Keys.System, embedded)
	if err != nil {
		return err
	}
	defer system.Close()
	js, err := jetstream.New(hub)
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	b.mu.Lock()
	b.hub, b.system, b.js = hub, system, js
	if embedded != nil {
		b.address = embedded.Addr().String()
	}
	b.mu.Unlock()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.answer(ctx, hub) })
	g.Go(func() error { return b.cutAgain(ctx) })
	g.Go(func() error {
		if !b.ensure(ctx, hub) {
			return nil
		}
		b.Look(ctx)
		close(b.ready)
		g.Go(func() error { return b.watchUse(ctx, js) })
		return b.lookEachMinute(ctx)
	})
	return g.Wait()
}

// connect opens a connection that comes back by itself for ever. An external broker need not be there yet.
func (b *Broker) connect(ctx context.Context, name string, key Seed, embedded *server.Server) (*nats.Conn, error) {
	public, sign, err := key.signer()
	if err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", err)
	}
	options := []nats.Option{
		nats.Name(name), nats.Nkey(public, sign), nats.IgnoreAuthErrorAbort(),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.CustomReconnectDelay(delay),
		nats.PingInterval(10 * time.Second), nats.ReconnectBufSize(-1), nats.Timeout(5 * time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if ctx.Err() == nil {
				b.log.Error("connection to the broker lost", "connection", name, "err", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			b.log.Warn("the broker cannot be reached", "connection", name, "err", err)
		}),
		nats.ReconnectHandler(func(*nats.Conn) { b.log.Info("connected to the broker", "connection", name) }),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			b.log.Error("broker", "connection", name, "err", err)
		}),
	}
	urls := nats.DefaultURL
	if embedded != nil {
		options = append(options, nats.InProcessServer(embedded))
	} else {
		urls = join(b.config.URLs)
		options = append(options, nats.Secure(b.config.TLS))
	}
	nc, err := nats.Connect(urls, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", err)
	}
	return nc, nil
}

// delay waits longer with each round through the addresses, between a tenth of a second and ten.
func delay(rounds int) time.Duration {
	most := min(100*time.Millisecond<<min(rounds, 7), 10*time.Second)
	return most/2 + rand.N(most/2)
}

// pause waits, or says false because ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Package upstream is a box's connection to the hospital's broker: it publishes, asks for the newest message, hears what
// comes, and comes back by itself for ever. It needs no JetStream consumer and no right to make one.
package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"tapward/sync/uplink"
)

// Config says who the box is and where its hub's broker is.
type Config struct {
	Address uplink.Address
	URLs    []string       // tls://host:port
	Roots   *x509.CertPool // the hub's CA
	// Certificate gives the box's newest certificate; it is asked at every connect.
	Certificate func() (*tls.Certificate, error)
}

// Client is the connection. Make it with New and start it with Run; its methods may be called before that and wait.
type Client struct {
	config Config
	log    *slog.Logger

	started chan struct{} // closed when nc is there
	nc      *nats.Conn
	look    chan struct{} // asks for a probe at once
	denied  denials

	mu      sync.Mutex
	state   State
	weight  weight        // of its reason
	weighed time.Time     // when that was last heard
	changed chan struct{} // closed at the next change of state
	round   uint64        // how often the connection was made
	rounds  chan struct{} // closed at the next one
}

// New checks the configuration; it starts nothing.
func New(config Config, log *slog.Logger) (*Client, error) {
	if err := config.Address.Valid(); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	if len(config.URLs) == 0 || config.Roots == nil || config.Certificate == nil {
		return nil, errors.New("upstream: it needs the broker's address, its CA and a certificate")
	}
	return &Client{
		config: config, log: log, started: make(chan struct{}), look: make(chan struct{}, 1),
		state: State{Why: "not connected yet"}, changed: make(chan struct{}), rounds: make(chan struct{}),
	}, nil
}

// probeEach is how often the connection is proved by reading back what is there, and watched keys are read again.
const probeEach = time.Minute

// Run connects and stays connected until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	closed := make(chan struct{})
	nc, err := nats.Connect(strings.Join(c.config.URLs, ","), append(c.options(ctx),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	if err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	c.set(ctx, State{Since: time.Now(), Why: c.State().Why})
	c.nc = nc
	close(c.started)
	defer func() {
		nc.Close()
		<-closed
		c.set(ctx, State{Since: time.Now(), Why: "ended"})
	}()
	for failed := 0; ; {
		wait := probeEach/2 + rand.N(probeEach)
		if failed > 0 {
			wait = delay(failed)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-c.look:
			timer.Stop()
		case <-timer.C:
		}
		if c.check(ctx) {
			failed = 0
		} else {
			failed++
		}
	}
}

// check proves the connection, or finds out why there is none.
func (c *Client) check(ctx context.Context) bool {
	if c.nc.IsConnected() {
		return c.probe(ctx)
	}
	if c.State().Connected { // it went while it was being proved
		c.broken(ctx, io.EOF)
	}
	if !c.knowsWhy() {
		if err := c.diagnose(ctx); err != nil && !c.nc.IsConnected() && ctx.Err() == nil {
			c.broken(ctx, err)
		}
	}
	return false
}

// options never give up and buffer nothing: what is not sent is the outbox's.
func (c *Client) options(ctx context.Context) []nats.Option {
	up := func(nc *nats.Conn) {
		c.mu.Lock()
		c.round++
		close(c.rounds)
		c.rounds = make(chan struct{})
		c.mu.Unlock()
		c.probeSoon()
	}
	down := func(_ *nats.Conn, err error) {
		if err != nil && ctx.Err() == nil {
			c.broken(ctx, err)
			c.probeSoon() // to find out more
		}
	}
	return []nats.Option{
		nats.Name("tapwardd " + c.config.Address.String()),
		nats.Secure(c.tls()),
		nats.CustomInboxPrefix(c.config.Address.Inbox()),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.CustomReconnectDelay(delay),
		nats.Timeout(10 * time.Second), nats.PingInterval(15 * time.Second), nats.MaxPingsOutstanding(2),
		nats.ReconnectBufSize(-1),
		nats.ConnectHandler(up), nats.ReconnectHandler(up),
		nats.DisconnectErrHandler(down), nats.ReconnectErrHandler(down),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) { c.complaint(ctx, s, err) }),
	}
}

// tls shows the newest certificate at every handshake.
func (c *Client) tls() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: c.config.Roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.config.Certificate() },
	}
}

// delay waits longer with each round through the addresses, between a tenth of a second and ten, so that a thousand
// boxes do not come back at once.
func delay(rounds int) time.Duration {
	most := min(200*time.Millisecond<<min(rounds, 6), 10*time.Second)
	return most/4 + rand.N(most*3/4)
}

// Renewed makes the client connect anew with the certificate that Certificate now gives. Publishes under way fail with
// an outcome that is not known.
func (c *Client) Renewed() {
	select {
	case <-c.started:
	default:
		return // it will connect with it
	}
	if err := c.nc.ForceReconnect(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		c.log.Warn("connect with the new certificate", "err", err)
	}
}

// connection waits until Run has made it.
func (c *Client) connection(ctx context.Context) (*nats.Conn, error) {
	select {
	case <-c.started:
		return c.nc, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: not started", ErrCutOff)
	}
}

// complaint takes what the broker says without being asked: a refused subject, or why it ends the connection.
func (c *Client) complaint(ctx context.Context, s *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		if !c.denied.take(err.Error()) {
			c.log.Warn("the hub does not allow it", "err", err)
		}
	case s != nil:
		c.log.Warn("hear from the hub", "subject", s.Subject, "err", err)
	case ctx.Err() == nil:
		c.broken(ctx, err)
	}
}

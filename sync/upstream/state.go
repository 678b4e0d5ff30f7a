package upstream

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"tapward/sync/uplink"
)

// State is what the station and the metrics show of the connection.
type State struct {
	Connected bool      // and proved: something was read back
	Since     time.Time // connected, or cut off
	Why       string    // cut off: the reason in words
	Server    string    // connected: the broker's own name for itself
}

// State is how it is now.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Changed is closed at the next change of State.
func (c *Client) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *Client) set(ctx context.Context, s State) {
	c.mu.Lock()
	before := c.state
	if before.Connected == s.Connected && before.Why == s.Why && before.Server == s.Server {
		c.mu.Unlock()
		return
	}
	if before.Connected == s.Connected && !before.Since.IsZero() {
		s.Since = before.Since // another reason, the same cut
	}
	c.state = s
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case s.Connected:
		c.log.Info("connected to the hub", "broker", s.Server)
	default:
		c.log.Warn("cut off from the hub", "why", s.Why)
	}
}

func (c *Client) cutOff(ctx context.Context, why string) {
	c.set(ctx, State{Since: time.Now(), Why: why})
}

// weight orders reasons: of a box that knows several addresses, one may refuse it and another be dead.
type weight int

const (
	ended   weight = iota // the connection ended, for whatever reason
	absent                // nobody is there
	refused               // somebody said why
)

// reasonHolds is how long a weightier reason is shown although a lighter one came after it.
const reasonHolds = 30 * time.Second

// broken takes an error of the connection.
func (c *Client) broken(ctx context.Context, err error) {
	why, w := c.words(err)
	now := time.Now()
	c.mu.Lock()
	lighter := !c.state.Connected && w < c.weight && now.Sub(c.weighed) < reasonHolds
	if !lighter {
		c.weight, c.weighed = w, now
	}
	c.mu.Unlock()
	if !lighter {
		c.cutOff(ctx, why)
	}
}

// knowsWhy says that the reason was heard not long ago.
func (c *Client) knowsWhy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.weight == refused && time.Since(c.weighed) < reasonHolds
}

func (c *Client) probeSoon() {
	select {
	case c.look <- struct{}{}:
	default:
	}
}

// probe proves the connection by reading back: TLS 1.3 and a broker without its hub both look well until then.
func (c *Client) probe(ctx context.Context) bool {
	server := c.nc.ConnectedServerName()
	_, err := c.Last(ctx, uplink.AuditStream, c.config.Address.AuditSubject())
	if err != nil && !errors.Is(err, ErrNone) {
		if c.nc.IsConnected() {
			c.cutOff(ctx, "the broker does not answer for its streams: "+err.Error())
		}
		return false
	}
	c.mu.Lock()
	c.weight = ended
	c.mu.Unlock()
	c.set(ctx, State{Connected: true, Since: time.Now(), Server: server})
	return true
}

// words say why there is no connection.
func (c *Client) words(err error) (why string, w weight) {
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	text := err.Error()
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		return "this is not the hospital's broker, or its certificate is out of date: " + text, refused
	case errors.Is(err, nats.ErrAuthorization), has("Authorization Violation"), has("uthentication Timeout"), has("expected 'PONG', got 'PING'"):
		return "refused by the hub: it does not know this box, has revoked it, or does not answer just now" + c.expired(), refused
	case errors.Is(err, nats.ErrAuthExpired):
		return "the hub's leave to be connected has run out; asking anew" + c.expired(), refused
	case has("tls: expired certificate"):
		return "refused by the hub: this box's certificate has expired" + c.expired(), refused
	case has("tls: bad certificate"), has("tls: unknown certificate"), has("tls: certificate required"), has("tls: certificate revoked"):
		return "refused by the hub: this box's certificate is not one of its CA" + c.expired(), refused
	case errors.Is(err, nats.ErrStaleConnection):
		return "the broker has gone silent", ended
	case errors.Is(err, io.EOF), has("connection reset"), has("broken pipe"):
		return "the broker closed the connection" + c.expired(), ended
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return "the broker cannot be reached: " + text, absent
	}
	return text, ended
}

// expired adds what the box itself can see about its certificate.
func (c *Client) expired() string {
	certificate, err := c.config.Certificate()
	if err != nil {
		return fmt.Sprintf(" (and this box has no certificate to show: %v)", err)
	}
	leaf := certificate.Leaf
	if leaf == nil && len(certificate.Certificate) > 0 {
		leaf, _ = x509.ParseCertificate(certificate.Certificate[0])
	}
	if leaf != nil && time.Now().After(leaf.NotAfter) {
		return fmt.Sprintf(" (its certificate ended at %s and must be renewed)", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return ""
}

package broker

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"golang.org/x/sync/errgroup"

	"tapward/sync/uplink"
)

// answering is how many boxes are answered at once.
const answering = 8

// answer says of every box that wants in whether it may, and what. Of several hubs one answers each.
func (b *Broker) answer(ctx context.Context, hub *nats.Conn) error {
	requests := make(chan *nats.Msg, 4096) // beyond that servers time out, and boxes come again
	sub, err := hub.ChanQueueSubscribe(server.AuthCalloutSubject, "tapward-hub", requests)
	if err != nil {
		return fmt.Errorf("answer boxes: %w", err)
	}
	defer sub.Unsubscribe()
	box, err := b.config.Keys.Box.pair()
	if err != nil {
		return fmt.Errorf("answer boxes: %w", err)
	}
	issuer, err := b.config.Keys.Issuer.pair()
	if err != nil {
		return fmt.Errorf("answer boxes: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	for range answering {
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case m := <-requests:
					if err := b.answerOne(ctx, m, box, issuer); err != nil {
						b.log.Warn("a box was not answered", "err", err)
					}
				}
			}
		})
	}
	return g.Wait()
}

func (b *Broker) answerOne(ctx context.Context, m *nats.Msg, box, issuer nkeys.KeyPair) error {
	ctx, cancel := context.WithTimeout(ctx, authTime)
	defer cancel()
	request, err := openRequest(m, box)
	if err != nil {
		return err
	}
	answer := jwt.NewAuthorizationResponseClaims(request.UserNkey)
	answer.Audience = request.Server.ID
	if answer.Jwt, err = b.admit(ctx, request, issuer); err != nil {
		answer.Error = err.Error()
		if from := request.ClientInformation.Host; b.said.news(from+" "+err.Error(), time.Now()) {
			b.log.Warn("a box was refused", "from", from, "why", err)
		}
	}
	token, err := answer.Encode(issuer)
	if err != nil {
		return fmt.Errorf("answer a box: %w", err)
	}
	sealed, err := box.Seal([]byte(token), request.Server.XKey)
	if err != nil {
		return fmt.Errorf("answer a box: %w", err)
	}
	return m.Respond(sealed)
}

// openRequest takes only what a server encrypted to the hub.
func openRequest(m *nats.Msg, box nkeys.KeyPair) (*jwt.AuthorizationRequestClaims, error) {
	from := m.Header.Get(server.AuthRequestXKeyHeader)
	plain, err := box.Open(m.Data, from)
	if err != nil {
		return nil, errors.New("a request about a box was not encrypted to the hub: do all servers have its auth_callout settings?")
	}
	request, err := jwt.DecodeAuthorizationRequestClaims(string(plain))
	if err != nil {
		return nil, fmt.Errorf("read request about a box: %w", err)
	}
	if request.Audience != server.AuthRequestSubject || request.Server.XKey != from || !nkeys.IsValidPublicServerKey(request.Issuer) {
		return nil, errors.New("a request about a box is not of the server that sent it")
	}
	return request, nil
}

// admit gives the user token of a box that may in. An error is what the server logs.
func (b *Broker) admit(ctx context.Context, request *jwt.AuthorizationRequestClaims, issuer nkeys.KeyPair) (string, error) {
	certificate, err := verified(request.TLS)
	if err != nil {
		return "", err
	}
	now := time.Now()
	if now.After(certificate.NotAfter) {
		return "", errors.New("the certificate of box " + certificate.Subject.CommonName + " has expired")
	}
	a, ward, refused, err := b.boxes.Authorize(ctx, certificate)
	switch {
	case err != nil:
		return "", fmt.Errorf("box %s could not be looked up: %w", certificate.Subject.CommonName, err)
	case refused != "":
		return "", fmt.Errorf("box %s: %s", certificate.Subject.CommonName, refused)
	}
	if err := a.Valid(); err != nil {
		return "", err
	}
	user := userClaims(request.UserNkey, a, ward, b.meter.over(a, now))
	until := now.Add(b.config.Lease)
	if certificate.NotAfter.Before(until) {
		until = certificate.NotAfter
	}
	user.Expires = until.Unix()
	return user.Encode(issuer)
}

// userClaims are exactly uplink.PermissionsOf, less the right to send bundles where the box has sent too much.
func userClaims(key string, a uplink.Address, ward string, over bool) *jwt.UserClaims {
	p := uplink.PermissionsOf(a, ward)
	user := jwt.NewUserClaims(key)
	user.Name, user.Audience = a.String(), boxAccount
	user.Pub.Allow, user.Sub.Allow = jwt.StringList(p.Publish), jwt.StringList(p.Subscribe)
	if over {
		user.Pub.Deny.Add(a.AuditSubject())
	}
	user.AllowedConnectionTypes.Add(jwt.ConnectionTypeStandard)
	return user
}

// verified is the leaf of a chain that the server checked.
func verified(t *jwt.ClientTLS) (*x509.Certificate, error) {
	if t == nil || len(t.VerifiedChains) == 0 || len(t.VerifiedChains[0]) == 0 {
		return nil, errors.New("it showed no certificate that the server verified: is verify set in the server's tls block?")
	}
	block, _ := pem.Decode([]byte(t.VerifiedChains[0][0]))
	if block == nil {
		return nil, errors.New("its certificate cannot be read")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("its certificate cannot be read")
	}
	return c, nil
}

// said keeps the same refusal, of a box that asks every few seconds, from being told more than once an hour.
type said struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (s *said) news(what string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, known := s.last[what]; known && now.Sub(at) < time.Hour {
		return false
	}
	if s.last == nil || len(s.last) > 10_000 {
		s.last = map[string]time.Time{}
	}
	s.last[what] = now
	return true
}

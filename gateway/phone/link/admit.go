package link

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"tapward/gateway"
)

// Quotas of one paired key, so that a phone gone wrong (or a copy of its key) costs the others nothing.
const maxGreeting = 3 // connections at once whose hello is awaited

var linkRate = rate{burst: 16, perSecond: 1}

// errLinked ends a connection that we dialled when the phone's own came first.
var errLinked = errors.New("the phone is linked already")

// admit greets an authenticated peer and checks its hello, within shake. It reports whoever is refused.
func (l *Links) admit(ctx, shake context.Context, conn *Conn, dialled bool) (*standing, error) {
	p, id, err := l.reserve(conn.Peer(), dialled)
	if err != nil {
		l.refuse(ctx, "", conn.Peer(), conn.RemoteAddr(), err)
		return nil, err
	}
	defer l.unreserve(p)
	hello, claims, err := l.greet(shake, conn, id)
	if err != nil {
		l.refuse(ctx, id, conn.Peer(), conn.RemoteAddr(), err)
		return nil, err
	}
	return newStanding(l, conn, hello, claims, dialled), nil
}

// reserve counts a connection against its key's quotas.
func (l *Links) reserve(key gateway.Fingerprint, dialled bool) (*pairing, gateway.PhoneID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.pairs[l.keys[key]]
	switch {
	case !ok:
		return nil, "", &UnknownKey{key}
	case dialled && (l.standing[p.phone.ID] != nil || p.greeting > 0):
		return nil, "", errLinked
	case p.greeting == maxGreeting:
		return nil, "", violated("phone %s opens more than %d connections at once", p.phone.ID, maxGreeting)
	case !p.quota.take(time.Now(), linkRate):
		return nil, "", violated("phone %s opens links too often", p.phone.ID)
	}
	p.greeting++
	return p, p.phone.ID, nil
}

func (l *Links) unreserve(p *pairing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.greeting--
}

// greet sends our nonce and returns the hello that signs it.
func (l *Links) greet(shake context.Context, conn *Conn, id gateway.PhoneID) (Hello, HelloClaims, error) {
	stop := context.AfterFunc(shake, func() { conn.Close() })
	defer stop()
	nonce := NewNonce()
	err := conn.Write(Greet{Protocol: Protocol, Box: l.cfg.Box, Nonce: nonce, Checkpoint: l.checkpoint()})
	if err != nil {
		return Hello{}, HelloClaims{}, err
	}
	m, err := conn.Read()
	if err != nil {
		return Hello{}, HelloClaims{}, fmt.Errorf("await hello: %w", err)
	}
	hello, ok := m.(Hello)
	if !ok {
		return Hello{}, HelloClaims{}, violated("first message is a %s, want hello", typeOf(m))
	}
	if hello.Protocol != Protocol {
		return Hello{}, HelloClaims{}, violated("hello speaks protocol %d, want %d", hello.Protocol, Protocol)
	}
	claims, err := verified(VerifyHello, conn.PeerKey(), hello.Signed)
	if err != nil {
		return Hello{}, HelloClaims{}, err
	}
	return hello, claims, checkHello(claims, id, nonce)
}

func checkHello(c HelloClaims, id gateway.PhoneID, nonce string) error {
	switch {
	case c.Phone != id:
		return violated("hello is of phone %.40q, the key is paired as %q", string(c.Phone), string(id))
	case subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(nonce)) != 1:
		return violated("hello does not echo this link's nonce")
	case c.Held == "":
		return nil
	}
	held, err := peekGrant(c.Held)
	if err != nil {
		return violated("hello's held grant: %v", err)
	}
	if held.Digest() != c.Truth.Grant || held.Box != c.Truth.Box {
		return violated("hello's held grant is not the one its truth names")
	}
	return nil
}

package conformance_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/link"
)

// crooked is a phone of few lines that keeps every rule but the one named by breaks.
type crooked struct {
	breaks string
	id     link.Identity
	box    link.Identity // the one it trusts
	began  time.Time

	mu      sync.Mutex
	state   agent.State
	planted bool
}

func (p *crooked) now() time.Duration { return time.Since(p.began) }

func (p *crooked) listen(l net.Listener) {
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		go p.link(raw)
	}
}

func (p *crooked) config() *tls.Config {
	pair, err := tls.X509KeyPair(p.id.PEM(), p.id.PEM())
	if err != nil {
		panic(err)
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, NextProtos: []string{link.ALPN},
		ClientAuth: tls.RequireAnyClientCert,
	}
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if state.NegotiatedProtocol != link.ALPN && p.breaks != "alpn" {
			return errors.New("another protocol")
		}
		if len(state.PeerCertificates) == 0 || p.breaks == "key" {
			return nil
		}
		if gateway.FingerprintOf(state.PeerCertificates[0].RawSubjectPublicKeyInfo) != p.box.Fingerprint() {
			return errors.New("unknown key")
		}
		return nil
	}
	switch p.breaks {
	case "tls":
		c.MinVersion = tls.VersionTLS12
	case "alpn":
		c.NextProtos = nil
	case "certificate":
		c.ClientAuth = tls.RequestClientCert
	}
	return c
}

// talk is one link of a crooked phone.
type talk struct {
	*crooked
	conn       *tls.Conn
	challenges map[string]time.Duration
}

func (p *crooked) link(raw net.Conn) {
	defer raw.Close()
	t := &talk{crooked: p, conn: tls.Server(raw, p.config()), challenges: map[string]time.Duration{}}
	if t.conn.Handshake() != nil {
		return
	}
	for greeted := false; ; {
		t.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		m, err := link.ReadMessage(t.conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.expire()
			continue
		}
		if broken := (*link.Malformed)(nil); errors.As(err, &broken) && p.breaks == "malformed" {
			continue
		}
		greet, isGreet := m.(link.Greet)
		switch {
		case err != nil, !isGreet && !greeted && p.breaks != "greeting", isGreet && greeted && p.breaks != "order":
			return
		case isGreet:
			greeted = true
			t.hello(greet)
		default:
			t.take(m)
		}
	}
}

func (t *talk) write(m link.Message) {
	frame, err := link.EncodeFrame(m)
	if err != nil {
		panic(err)
	}
	t.conn.Write(frame)
}

func (t *talk) challenge() string {
	text := link.NewNonce()
	if t.breaks == "challenges" {
		text = "always-the-same-challenge"
	}
	t.challenges[text] = t.now()
	return text
}

func (t *talk) hello(greet link.Greet) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.breaks != "checkpoints" {
		t.state = t.state.Witness(greet.Box, greet.Checkpoint)
	}
	claims := link.HelloClaims{
		Phone: t.state.Phone, Nonce: greet.Nonce, BootID: "boot-1", Truth: t.state.Truth(), Held: t.state.Held(),
		LeaseLeft: int64(t.state.LeaseLeft(t.now()).Seconds()), Checkpoints: map[gateway.BoxID]string{},
	}
	for _, c := range t.state.Seen {
		claims.Checkpoints[c.Box] = c.Text
	}
	if t.breaks == "nonce" {
		claims.Nonce = "the-nonce-of-an-old-hello"
	}
	signed, err := link.SignHello(t.id, claims)
	if err != nil {
		panic(err)
	}
	t.write(link.Hello{Protocol: link.Protocol, Signed: signed, Challenge: t.challenge()})
}

func (t *talk) take(m link.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch m := m.(type) {
	case link.Order:
		t.order(m)
	case link.Ping:
		t.write(link.StatusMessage{Challenge: t.challenge(), Battery: -1, Healthy: t.state.Healthy() || t.breaks == "healthy", Left: t.breaks == "left"})
	}
}

func (t *talk) order(m link.Order) {
	now := t.now()
	at, issued := t.challenges[m.Challenge]
	h := agent.Heard{
		Order: m, Box: "examiner", Given: t.grant(m),
		Fresh: issued && now-at <= link.ChallengeLife || issued && t.breaks == "stale" || t.breaks == "challenge",
	}
	before := t.state
	t.bend(&h)
	state, verdict := t.state.Decide(h, now)
	switch verdict.Outcome {
	case agent.Repeat:
		t.receipt(m.ID, verdict.Signed)
		return
	case agent.Refuse:
		t.state = before
		t.receipt(m.ID, t.sign(before.Decline(h, verdict.Reason), t.id))
		return
	}
	t.state = state
	said := t.finish()
	signer := t.id
	if t.breaks == "signer" {
		signer = t.box
	}
	signed := t.sign(said, signer)
	if t.breaks != "repeat" {
		t.state = t.state.Remember(agent.Answer{Box: "examiner", ID: m.ID, Signed: signed})
	}
	t.receipt(m.ID, signed)
}

// bend breaks a rule about commands by changing what Decide sees.
func (t *talk) bend(h *agent.Heard) {
	s := &t.state
	switch t.breaks {
	case "fence":
		h.Expect, h.Next = s.Fence, s.Fence+1
	case "rise":
		s.Fence++
		h.Expect, h.Next = s.Fence, s.Fence+1
		if h.Given != nil {
			h.Given.Fence = h.Next
			h.Digest = gateway.Digest{}
		}
	case "old-grant":
		if h.Given != nil {
			h.Given.Fence, h.Digest = h.Next, gateway.Digest{}
		}
	case "names":
		if h.Given != nil {
			h.Given.Phone, h.Given.Box, h.Given.Fence, h.Digest = s.Phone, h.Box, h.Next, gateway.Digest{}
		}
	case "second":
		if h.Kind == gateway.Bind {
			s.Session = nil
		}
	case "unlock":
		h.Unlock = true
	case "digest":
		if h.Kind != gateway.Bind {
			h.Digest = s.Truth().Grant
		}
	case "limit":
		if h.Kind == gateway.Renew && s.Session != nil {
			longer := *s.Session
			longer.LimitEnd += time.Hour
			s.Session = &longer
		}
	case "leftover-bind":
		if h.Kind == gateway.Bind && s.Leftover {
			s.Leftover, s.Session = false, nil
		}
	}
}

func (t *talk) grant(m link.Order) *gateway.Grant {
	if m.Kind != gateway.Bind {
		return nil
	}
	key := (*ecdsa.PublicKey)(t.box.Public())
	g, err := link.VerifyGrant(key, m.Grant)
	if err != nil && t.breaks == "signature" {
		payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(m.Grant, ".")[1])
		err = json.Unmarshal(payload, &g)
	}
	if err != nil {
		return nil
	}
	return &g
}

// finish is a device that always does what it should, but for a planted leftover.
func (t *talk) finish() agent.Statement {
	for {
		done := t.state.Owes() != agent.Clear || !t.planted || t.breaks == "verify"
		state, said := t.state.Finish(done, t.now())
		t.state = state
		if said != nil {
			return *said
		}
	}
}

func (t *talk) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.breaks == "lease" {
		return
	}
	t.state = t.state.Expire(t.now())
	if t.state.LockOwed {
		said := t.finish()
		if t.breaks == "custody" {
			t.state.Session, said.Truth = nil, gateway.Truth{Fence: t.state.Fence}
		}
		t.receipt("", t.sign(said, t.id))
	}
}

func (t *talk) sign(said agent.Statement, id link.Identity) string {
	signed, err := link.SignReceipt(id, link.ReceiptClaims{
		Receipt: said.Receipt, Command: said.Command, BootID: "boot-1", SinceMS: t.now().Milliseconds(),
	})
	if err != nil {
		panic(err)
	}
	return signed
}

func (t *talk) receipt(id, signed string) {
	t.write(link.ReceiptMessage{ID: id, Signed: signed, Challenge: t.challenge()})
}

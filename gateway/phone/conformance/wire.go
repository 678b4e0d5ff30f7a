package conformance

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// answerWithin is how long the phone may take for any one answer; a clear may take long.
const answerWithin = 15 * time.Second

// wire is one link to the phone, on which the examiner may also say what a box must not.
type wire struct {
	*sitting
	conn      *tls.Conn
	key       *ecdsa.PublicKey
	hello     link.HelloClaims
	truth     gateway.Truth // as the phone last signed it
	challenge string        // its newest
	status    link.StatusMessage
	locks     []link.ReceiptClaims // it told of by itself
	lockedAt  time.Time
}

// connect is an authenticated connection on which nothing was said yet. change makes the handshake wrong.
func (s *sitting) connect(change func(*tls.Config)) (*wire, error) {
	pair, err := tls.X509KeyPair(s.Identity.PEM(), s.Identity.PEM())
	if err != nil {
		return nil, fmt.Errorf("use the examiner's identity: %w", err)
	}
	w := &wire{sitting: s}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{pair},
		NextProtos:         []string{link.ALPN},
		InsecureSkipVerify: true, // the pinned key is checked instead
		VerifyConnection:   w.pinned,
	}
	if change != nil {
		change(config)
	}
	raw, err := s.Dial(s.ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the phone: %w", err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, answerWithin)
	defer cancel()
	w.conn = tls.Client(raw, config)
	if err := w.conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	s.opens = append(s.opens, w)
	return w, nil
}

// pinned checks that the phone is the one that people compared.
func (w *wire) pinned(state tls.ConnectionState) error {
	cert := state.PeerCertificates[0]
	if have := gateway.FingerprintOf(cert.RawSubjectPublicKeyInfo); have != w.Key {
		return fmt.Errorf("the phone's key is %s, expected %s", have, w.Key)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return errors.New("the phone's key is not ECDSA P-256")
	}
	w.key = key
	return nil
}

// open is a link on which the phone has said hello.
func (s *sitting) open(checkpoint string) (*wire, error) {
	w, err := s.connect(nil)
	if err != nil {
		return nil, err
	}
	nonce := link.NewNonce()
	if err := w.send(link.Greet{Protocol: link.Protocol, Box: s.Box, Nonce: nonce, Checkpoint: checkpoint}); err != nil {
		return nil, err
	}
	return w, w.greeted(nonce)
}

// greeted reads and checks the hello.
func (w *wire) greeted(nonce string) error {
	m, err := w.read(answerWithin)
	if err != nil {
		return fmt.Errorf("wait for hello: %w", err)
	}
	hello, ok := m.(link.Hello)
	if !ok {
		return fmt.Errorf("the first message is %T, not a hello", m)
	}
	w.hello, err = link.VerifyHello(w.key, hello.Signed)
	switch {
	case err != nil:
		return err
	case hello.Protocol != link.Protocol:
		return fmt.Errorf("hello speaks protocol %d, not %d", hello.Protocol, link.Protocol)
	case w.hello.Nonce != nonce:
		return errors.New("hello does not echo this link's nonce: it may be an old one")
	case w.hello.Phone != w.Phone:
		return fmt.Errorf("hello is of phone %q, not %q", w.hello.Phone, w.Phone)
	}
	w.truth, w.challenge = w.hello.Truth, hello.Challenge
	return w.send(link.Ack{})
}

func (w *wire) send(m link.Message) error {
	frame, err := link.EncodeFrame(m)
	if err != nil {
		return err
	}
	return w.write(frame)
}

// write sends bytes as they are.
func (w *wire) write(frame []byte) error {
	w.conn.SetWriteDeadline(time.Now().Add(answerWithin))
	if _, err := w.conn.Write(frame); err != nil {
		return fmt.Errorf("write to the phone: %w", err)
	}
	return nil
}

func (w *wire) read(within time.Duration) (link.Message, error) {
	w.conn.SetReadDeadline(time.Now().Add(within))
	return link.ReadMessage(w.conn)
}

// hear reads the next message, takes it in and acknowledges it.
func (w *wire) hear(within time.Duration) (link.Message, error) {
	m, err := w.read(within)
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case link.StatusMessage:
		w.challenge, w.status = m.Challenge, m
	case link.ReceiptMessage:
		w.challenge = m.Challenge
		if err := w.receipt(m); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%T is out of order here", m)
	}
	return m, w.send(link.Ack{})
}

// receipt checks a receipt's signature and form.
func (w *wire) receipt(m link.ReceiptMessage) error {
	c, err := link.VerifyReceipt(w.key, m.Signed)
	switch {
	case err != nil:
		return err
	case c.Command != m.ID:
		return fmt.Errorf("receipt for %q says inside that it is for %q", m.ID, c.Command)
	case c.Phone != w.Phone:
		return fmt.Errorf("receipt is of phone %q, not %q", c.Phone, w.Phone)
	case c.BootID != w.hello.BootID:
		return errors.New("receipt is of another boot than the hello")
	}
	w.truth = c.Truth
	if m.ID == "" {
		w.locks, w.lockedAt = append(w.locks, c), time.Now()
	}
	return nil
}

// command sends an order and waits for its receipt.
func (w *wire) command(m link.Order) (link.ReceiptClaims, error) {
	_, c, err := w.commandRaw(m)
	return c, err
}

// commandRaw gives the receipt as it was signed, too.
func (w *wire) commandRaw(m link.Order) (string, link.ReceiptClaims, error) {
	if err := w.send(m); err != nil {
		return "", link.ReceiptClaims{}, err
	}
	for until := time.Now().Add(answerWithin); ; {
		got, err := w.hear(time.Until(until))
		if err != nil {
			return "", link.ReceiptClaims{}, fmt.Errorf("no receipt: %w", err)
		}
		if r, ok := got.(link.ReceiptMessage); ok && r.ID == m.ID {
			c, err := link.VerifyReceipt(w.key, r.Signed)
			if err == nil && c.Next != m.Next {
				err = fmt.Errorf("receipt names fence %d, the command %d", c.Next, m.Next)
			}
			return r.Signed, c, err
		}
	}
}

// order is a command that the phone should obey as it stands.
func (w *wire) order(kind gateway.CommandKind) link.Order {
	return link.Order{
		ID: link.NewNonce(), Kind: kind, Expect: w.truth.Fence, Next: w.truth.Fence + 1,
		Challenge: w.challenge, Digest: w.truth.Grant,
	}
}

// grant is one for the next bind; its custody makes it unlike every other.
func (w *wire) grant() gateway.Grant {
	return gateway.Grant{
		Box: w.Box, Phone: w.Phone, Fence: w.truth.Fence + 1, Custody: gateway.Custody(w.truth.Fence + 1),
		Clinician: "examiner", Lease: 600, Idle: 0, Limit: 3600,
	}
}

// bind is an order for g under the examiner's signature.
func (w *wire) bind(g gateway.Grant) (link.Order, error) {
	return w.bindBy(w.Identity, g)
}

func (w *wire) bindBy(id link.Identity, g gateway.Grant) (link.Order, error) {
	m := w.order(gateway.Bind)
	m.Name, m.Digest, m.Lease = "Conformance Exam", g.Digest(), g.Lease
	var err error
	m.Grant, err = link.SignGrant(id, g)
	return m, err
}

// ended expects that the phone closes the link without answering.
func (w *wire) ended(what string) error {
	for until := time.Now().Add(answerWithin); ; {
		m, err := w.read(time.Until(until))
		switch {
		case timedOut(err):
			return fmt.Errorf("%s: the phone kept the link open", what)
		case err != nil:
			return nil
		}
		if _, status := m.(link.StatusMessage); !status {
			return fmt.Errorf("%s: the phone answered with %T instead of closing the link", what, m)
		}
	}
}

// pass lets time go by on a link that stands.
func (w *wire) pass(until time.Time) error {
	for time.Until(until) > 0 {
		if _, err := w.hear(time.Until(until)); err != nil && !timedOut(err) {
			return err
		}
	}
	return nil
}

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// close does not wait for a phone that does not read.
func (w *wire) close() { w.conn.NetConn().Close() }

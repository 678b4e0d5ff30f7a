package link

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// peer is a scripted phone. It shares no code with the package beyond the message types: TLS, frames and signatures are
// its own, so that both sides cannot be wrong in the same way.
type peer struct {
	t    *testing.T
	id   Identity
	name gateway.PhoneID
	boot string
	conn *tls.Conn
}

func newIdentity(t testing.TB, name string) Identity {
	t.Helper()
	id, err := NewIdentity(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newPeer(t *testing.T, name gateway.PhoneID) *peer {
	return &peer{t: t, id: newIdentity(t, string(name)), name: name, boot: "boot-1"}
}

func (p *peer) paired() gateway.Phone {
	return gateway.Phone{ID: p.name, Key: p.id.Fingerprint(), Class: gateway.Workflow, Pool: "ward"}
}

func (p *peer) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{"tapward-phone/1"},
		Certificates:       []tls.Certificate{{Certificate: [][]byte{p.id.cert.Raw}, PrivateKey: p.id.key}},
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // the box's key is not what these tests are about
	}
}

// over takes raw as the connection that the phone opened.
func (p *peer) over(raw net.Conn) *peer {
	p.conn = tls.Client(raw, p.config())
	p.t.Cleanup(func() { raw.Close() })
	return p
}

// accepted takes raw as a connection that the box opened.
func (p *peer) accepted(raw net.Conn) *peer {
	p.conn = tls.Server(raw, p.config())
	p.t.Cleanup(func() { raw.Close() })
	return p
}

func (p *peer) raw(body []byte) error {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	_, err := p.conn.Write(append(frame, body...))
	return err
}

func (p *peer) send(m any) {
	p.t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.raw(body); err != nil {
		p.t.Fatalf("phone sends %T: %v", m, err)
	}
}

// next is the next message of the box as its members.
func (p *peer) next() (map[string]any, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		return nil, nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(p.conn, body); err != nil {
		return nil, nil, err
	}
	var members map[string]any
	return members, body, json.Unmarshal(body, &members)
}

// expect reads the next message, which must be of this type, into m.
func (p *peer) expect(typ Type, m any) {
	p.t.Helper()
	members, body, err := p.next()
	if err != nil {
		p.t.Fatalf("phone waits for %s: %v", typ, err)
	}
	if members["type"] != string(typ) {
		p.t.Fatalf("phone waits for %s, the box sent %s", typ, body)
	}
	if err := json.Unmarshal(body, m); err != nil {
		p.t.Fatal(err)
	}
}

// order waits for a command and passes over pings and acks.
func (p *peer) order() (o Order) {
	p.t.Helper()
	for {
		members, body, err := p.next()
		if err != nil {
			p.t.Fatalf("phone waits for a command: %v", err)
		}
		if members["type"] != "command" {
			continue
		}
		if err := json.Unmarshal(body, &o); err != nil {
			p.t.Fatal(err)
		}
		return o
	}
}

// closed reads on until the box ends the connection.
func (p *peer) closed() {
	p.t.Helper()
	p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		_, body, err := p.next()
		if stuck, ok := err.(net.Error); ok && stuck.Timeout() {
			p.t.Fatal("the box kept the link open")
		}
		if err != nil {
			return
		}
		p.t.Logf("before the end: %.80s", body)
	}
}

// drain reads and passes over whatever the box sends, for scripts on a pipe that only write.
func (p *peer) drain() {
	go io.Copy(io.Discard, p.conn)
}

// jws signs claims as a phone of another make would: by RFC 7515 and nothing else.
func (p *peer) jws(typ string, claims any) string {
	p.t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		p.t.Fatal(err)
	}
	return es256(p.t, p.id.key, fmt.Sprintf(`{"alg":"ES256","typ":%q}`, typ), payload)
}

func es256(t testing.TB, key *ecdsa.PrivateKey, header string, payload []byte) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	signing := b64([]byte(header)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(signing))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return signing + "." + b64(signature)
}

const challengeA = "challenge-a-0123456789"

func (p *peer) helloTo(g Greet, truth gateway.Truth) Hello {
	claims := HelloClaims{Phone: p.name, Nonce: g.Nonce, BootID: p.boot, Truth: truth}
	return Hello{Type: TypeHello, Protocol: 1, Signed: p.jws("tapward-hello+jws", claims), Challenge: challengeA, Agent: "script"}
}

// greet goes through greet, hello and its ack.
func (p *peer) greet() *peer {
	p.t.Helper()
	p.greetOnly()
	p.expect(TypeAck, &Ack{})
	return p
}

// greetOnly does not wait for the ack, which comes after the box has reported the link.
func (p *peer) greetOnly() {
	p.t.Helper()
	var g Greet
	p.expect(TypeGreet, &g)
	p.send(p.helloTo(g, gateway.Truth{}))
}

func (p *peer) status(challenge string) StatusMessage {
	return StatusMessage{Type: TypeStatus, Challenge: challenge, Battery: 80, Healthy: true, Slot: "dock-1"}
}

// answer makes the receipt that obeys o, unless change says otherwise.
func (p *peer) answer(o Order, kind gateway.ReceiptKind, change func(*ReceiptClaims)) ReceiptMessage {
	claims := ReceiptClaims{
		Receipt: gateway.Receipt{Kind: kind, Phone: p.name, Next: o.Next, Truth: gateway.Truth{Fence: o.Next}},
		Command: o.ID, BootID: p.boot, SinceMS: 1000,
	}
	if kind == gateway.Bound || kind == gateway.Renewed || kind == gateway.Locked {
		claims.Truth.Box, claims.Truth.Grant = "box-1", o.Digest
		claims.Truth.Locked = kind == gateway.Locked
	}
	if kind == gateway.Declined {
		claims.Truth.Fence = o.Expect
	}
	if change != nil {
		change(&claims)
	}
	return ReceiptMessage{Type: TypeReceipt, ID: o.ID, Signed: p.jws("tapward-receipt+jws", claims), Challenge: challengeA}
}

// box is a Links under test with what it reported.
type box struct {
	t *testing.T
	*Links
	out  chan phone.Report
	addr string
}

// newBox runs a box with these phones until the test ends; it listens on loopback unless change takes that away.
func newBox(t *testing.T, change func(*Config), phones ...gateway.Phone) *box {
	t.Helper()
	b := &box{t: t, out: make(chan phone.Report, 1024)}
	cfg := Config{Box: "box-1", Identity: newIdentity(t, "box-1"), Phones: phones, Out: b.out, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if change == nil || cfg.Listen != nil {
		cfg.Listen = listen(t)
		b.addr = cfg.Listen.Addr().String()
	}
	if change != nil {
		change(&cfg)
	}
	b.Links = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("Run: %v", err)
		}
	})
	return b
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dial is a new connection of p to b, authenticated.
func (b *box) dial(p *peer) *peer {
	b.t.Helper()
	raw, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	copied := *p
	return copied.over(raw)
}

// linked is a new standing link of p, its Linked taken.
func (b *box) linked(p *peer) *peer {
	b.t.Helper()
	q := b.dial(p).greet()
	b.report(phone.Linked{})
	return q
}

// report takes the next report, which must be of want's type.
func (b *box) report(want phone.Report) phone.Report {
	b.t.Helper()
	select {
	case r := <-b.out:
		if fmt.Sprintf("%T", r) != fmt.Sprintf("%T", want) {
			b.t.Fatalf("reported %T%+v, want a %T", r, r, want)
		}
		return r
	case <-time.After(20 * time.Second):
		b.t.Fatalf("no %T was reported", want)
		return nil
	}
}

func grantOf(p *peer, fence gateway.Fence) gateway.Grant {
	return gateway.Grant{Box: "box-1", Phone: p.name, Fence: fence, Custody: 1, Clinician: "c-17", Lease: 60, Idle: 30, Limit: 600}
}

func bindOf(p *peer, fence gateway.Fence) gateway.Command {
	return gateway.Command{Kind: gateway.Bind, Phone: p.name, Expect: fence - 1, Next: fence, Grant: grantOf(p, fence)}
}

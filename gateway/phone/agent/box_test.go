package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/link"
)

// rig is a phone in a synctest bubble, with the boxes it trusts; both ends of every connection are in memory.
type rig struct {
	t      *testing.T
	cfg    agent.Config
	phone  *agent.Agent
	store  *memory
	device *device
	boxes  map[string]*box
	stop   func() error
}

// memory keeps what was stored, as a disk would over a crash.
type memory struct {
	mu     sync.Mutex
	stored agent.State
	err    error
}

func (m *memory) Save(s agent.State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.stored = s
	}
	return m.err
}

func (m *memory) last() agent.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stored
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// device is a Device that fails both ways: it may not do a thing, and it may do it and say that it failed.
type device struct {
	mu    sync.Mutex
	open  bool
	holds bool             // something of a session is there
	acts  []string         // in the order they came
	fails map[string]error // by act
	does  map[string]bool  // a failing act happens all the same
	gate  map[string]chan struct{}
}

func (d *device) act(ctx context.Context, name string, do func()) error {
	d.mu.Lock()
	d.acts = append(d.acts, name)
	gate := d.gate[name]
	d.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.fails[name]
	if err == nil || d.does[name] {
		do()
	}
	return err
}

func (d *device) Open(ctx context.Context, _ agent.Session) error {
	return d.act(ctx, "open", func() { d.open, d.holds = true, true })
}

func (d *device) Lock(ctx context.Context, _ agent.Session) error {
	return d.act(ctx, "lock", func() { d.open = false })
}

func (d *device) Clear(ctx context.Context, _ agent.Session) error {
	return d.act(ctx, "clear", func() { d.open, d.holds = false, false })
}

func (d *device) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *device) stands() (open, holds bool, acts int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open, d.holds, len(d.acts)
}

// newRig starts a phone that trusts and dials the named boxes.
func newRig(t *testing.T, names ...string) *rig {
	phone, err := link.NewIdentity("phone")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t: t, store: &memory{}, boxes: map[string]*box{},
		device: &device{fails: map[string]error{}, does: map[string]bool{}, gate: map[string]chan struct{}{}},
	}
	r.cfg = agent.Config{
		Phone: "phone-1", Identity: phone, State: agent.State{Phone: "phone-1"}, Store: r.store, Device: r.device,
		BootID: "boot-1", Boot: clock(time.Hour), Dial: r.dial, Log: slog.New(slog.DiscardHandler),
	}
	for _, name := range names {
		id, err := link.NewIdentity(name)
		if err != nil {
			t.Fatal(err)
		}
		r.boxes[name] = &box{rig: r, name: gateway.BoxID(name), id: id, conns: make(chan net.Conn)}
		r.cfg.Boxes = append(r.cfg.Boxes, agent.Box{ID: gateway.BoxID(name), Key: id.Fingerprint(), Addrs: []string{name}})
	}
	r.start()
	return r
}

// clock is a boot clock that stands at up now and goes with the bubble's time.
func clock(up time.Duration) func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) + up }
}

func (r *rig) start() {
	r.phone = agent.New(r.cfg)
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	phone := r.phone
	go func() { ended <- phone.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
}

// restart is a crash and a new start from what was stored. In another boot the clock stands at up.
func (r *rig) restart(boot string, up time.Duration) {
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		r.t.Fatalf("agent ended with %v", err)
	}
	r.cfg.State = r.store.last()
	if boot != r.cfg.BootID {
		r.cfg.BootID, r.cfg.Boot = boot, clock(up)
	}
	r.start()
}

func (r *rig) dial(ctx context.Context, addr string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case r.boxes[addr].conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *rig) gesture(do, with string) {
	r.t.Helper()
	if err := r.phone.Gesture(r.t.Context(), agent.Gesture{Do: do, With: with}); err != nil {
		r.t.Fatal(err)
	}
}

// box is a ward box of few lines.
type box struct {
	*rig
	name  gateway.BoxID
	id    link.Identity
	conns chan net.Conn
}

// talk is one link as the box sees it.
type talk struct {
	*box
	conn      *link.Conn
	hello     link.HelloClaims
	truth     gateway.Truth
	challenge string
	status    link.StatusMessage
}

// link waits for the phone to dial, and for its hello.
func (b *box) link(checkpoint string) *talk {
	b.t.Helper()
	key := b.cfg.Identity.Fingerprint()
	conn, err := link.Server(b.t.Context(), <-b.conns, b.id, func(f gateway.Fingerprint) bool { return f == key })
	if err != nil {
		b.t.Fatal(err)
	}
	w := &talk{box: b, conn: conn}
	nonce := link.NewNonce()
	w.write(link.Greet{Protocol: link.Protocol, Box: b.name, Nonce: nonce, Checkpoint: checkpoint})
	hello := w.read().(link.Hello)
	if w.hello, err = link.VerifyHello(conn.PeerKey(), hello.Signed); err != nil || w.hello.Nonce != nonce {
		b.t.Fatalf("hello %+v: %v", w.hello, err)
	}
	w.truth, w.challenge = w.hello.Truth, hello.Challenge
	w.write(link.Ack{})
	return w
}

func (w *talk) write(m link.Message) {
	w.t.Helper()
	if err := w.conn.Write(m); err != nil {
		w.t.Fatal(err)
	}
}

func (w *talk) read() link.Message {
	w.t.Helper()
	w.conn.SetReadDeadline(time.Now().Add(time.Minute))
	m, err := w.conn.Read()
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// hear takes one status or receipt in; it returns the receipt.
func (w *talk) hear() *link.ReceiptClaims {
	w.t.Helper()
	switch m := w.read().(type) {
	case link.StatusMessage:
		w.challenge, w.status = m.Challenge, m
		w.write(link.Ack{})
	case link.ReceiptMessage:
		w.challenge = m.Challenge
		c, err := link.VerifyReceipt(w.conn.PeerKey(), m.Signed)
		if err != nil {
			w.t.Fatal(err)
		}
		w.truth = c.Truth
		w.write(link.Ack{})
		return &c
	}
	return nil
}

// receipt waits for the receipt of a command; an empty id is a lock of the phone's own.
func (w *talk) receipt(id string) link.ReceiptClaims {
	w.t.Helper()
	for {
		if c := w.hear(); c != nil && c.Command == id {
			return *c
		}
	}
}

func (w *talk) command(m link.Order) link.ReceiptClaims {
	w.t.Helper()
	w.write(m)
	return w.receipt(m.ID)
}

// want sends a command and expects a kind of receipt.
func (w *talk) want(m link.Order, kind gateway.ReceiptKind, reason gateway.Reason) link.ReceiptClaims {
	w.t.Helper()
	c := w.command(m)
	if c.Kind != kind || c.Reason != reason {
		w.t.Fatalf("%s: want %s (%s), have %s (%s) with %+v", m.Kind, kind, reason, c.Kind, c.Reason, c.Truth)
	}
	return c
}

func (w *talk) order(kind gateway.CommandKind) link.Order {
	return link.Order{
		ID: link.NewNonce(), Kind: kind, Expect: w.truth.Fence, Next: w.truth.Fence + 1,
		Challenge: w.challenge, Digest: w.truth.Grant,
	}
}

func (w *talk) unlock() link.Order {
	m := w.order(gateway.Renew)
	m.Unlock = true
	return m
}

// bind is an order for a session with a lease of a minute.
func (w *talk) bind() link.Order {
	w.t.Helper()
	g := gateway.Grant{
		Box: w.name, Phone: "phone-1", Fence: w.truth.Fence + 1, Custody: 1, Clinician: "demo-1", Lease: 60, Idle: 0, Limit: 600,
	}
	m := w.order(gateway.Bind)
	m.Name, m.Digest = "Demo Nurse", g.Digest()
	var err error
	if m.Grant, err = link.SignGrant(w.id, g); err != nil {
		w.t.Fatal(err)
	}
	return m
}

// die cuts the link, as a box does that lost its power.
func (w *talk) die() { w.conn.Close() }

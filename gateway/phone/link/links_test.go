package link

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"tapward/gateway"
	"tapward/gateway/phone"
)

func TestPhoneDialsBox(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	p = b.dial(p)
	var g Greet
	p.expect(TypeGreet, &g)
	if g.Protocol != 1 || g.Box != "box-1" || len(g.Nonce) != 22 {
		t.Errorf("greet is %+v", g)
	}
	truth := gateway.Truth{Fence: 41}
	p.send(p.helloTo(g, truth))
	p.expect(TypeAck, &Ack{})
	if l := b.report(phone.Linked{}).(phone.Linked); l.Phone != "phone-01" || l.Truth != truth || l.At.IsZero() {
		t.Errorf("linked is %+v", l)
	}

	b.Send(bindOf(p, 42), "Dr Example")
	o := p.order()
	grant, err := VerifyGrant(b.cfg.Identity.Public(), o.Grant)
	if err != nil || grant != grantOf(p, 42) {
		t.Errorf("grant %+v, %v", grant, err)
	}
	if o.Kind != gateway.Bind || o.Expect != 41 || o.Next != 42 || o.Challenge != challengeA || o.Name != "Dr Example" ||
		o.Digest != grant.Digest() || o.Lease != 60 {
		t.Errorf("order is %+v", o)
	}
	m := p.answer(o, gateway.Bound, nil)
	p.send(m)
	a := b.report(phone.Answer{}).(phone.Answer)
	if a.Receipt.Kind != gateway.Bound || a.Receipt.Next != 42 || a.Receipt.Signed != m.Signed || a.Receipt.Truth.Fence != 42 {
		t.Errorf("answer is %+v", a)
	}

	p.send(p.status("challenge-b-0123456789"))
	s := b.report(phone.Status{}).(phone.Status)
	if s.Phone != "phone-01" || s.Battery != 80 || !s.Healthy || s.Slot != "dock-1" {
		t.Errorf("status is %+v", s)
	}
	p.conn.Close()
	if u := b.report(phone.Unlinked{}).(phone.Unlinked); u.Phone != "phone-01" || u.Why != "closed by the phone" {
		t.Errorf("unlinked is %+v", u)
	}
}

// The grant that a phone presents is passed on as it was signed, whoever signed it.
func TestHeldGrantIsPassedOn(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	p = b.dial(p)
	var g Greet
	p.expect(TypeGreet, &g)
	grant := grantOf(p, 3)
	grant.Box = "box-2"
	held := es256(t, newIdentity(t, "box-2").key, `{"alg":"ES256","typ":"tapward-grant+jws"}`, grant.Canonical())
	h := p.helloTo(g, gateway.Truth{})
	h.Signed = p.jws("tapward-hello+jws", HelloClaims{Phone: p.name, Nonce: g.Nonce, BootID: p.boot, Held: held,
		Truth: gateway.Truth{Fence: 3, Box: "box-2", Grant: grant.Digest()}})
	p.send(h)
	p.expect(TypeAck, &Ack{})
	if l := b.report(phone.Linked{}).(phone.Linked); l.Held != held {
		t.Errorf("linked is %+v", l)
	}
	m := p.status(challengeA)
	m.Left = true
	p.send(m)
	if s := b.report(phone.Status{}).(phone.Status); !s.Left {
		t.Errorf("status is %+v", s)
	}
}

func TestBoxDialsPhone(t *testing.T) {
	p := newPeer(t, "phone-01")
	l := listen(t)
	defer l.Close()
	paired := p.paired()
	paired.Addrs = []string{l.Addr().String()}
	b := newBox(t, func(c *Config) { c.Listen = nil }, paired)
	raw, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p.accepted(raw).greet()
	b.report(phone.Linked{})
	b.Send(gateway.Command{Kind: gateway.Release, Phone: p.name, Expect: 7, Next: 8, Reason: gateway.NotPickedUp}, "")
	o := p.order()
	if o.Kind != gateway.Release || !o.Digest.IsZero() || o.Sentence != gateway.NotPickedUp.Sentence() {
		t.Errorf("order is %+v", o)
	}
	p.send(p.answer(o, gateway.Cleared, nil))
	b.report(phone.Answer{})
}

func TestNewerLinkReplacesOlder(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	older := b.linked(p)
	newer := b.linked(p) // the next report is Linked again: nothing was said of the older one's end
	older.closed()
	b.Send(bindOf(p, 1), "")
	newer.send(newer.answer(newer.order(), gateway.Bound, nil))
	b.report(phone.Answer{})
	newer.conn.Close()
	b.report(phone.Unlinked{})
}

func TestForgetCutsTheLink(t *testing.T) {
	p, other := newPeer(t, "phone-01"), newPeer(t, "phone-02")
	b := newBox(t, nil, p.paired(), other.paired())
	q, stays := b.linked(p), b.linked(other)
	b.Forget(p.name)
	q.closed()
	if u := b.report(phone.Unlinked{}).(phone.Unlinked); u.Phone != p.name || u.Why != "the phone was removed" {
		t.Errorf("unlinked is %+v", u)
	}
	again := b.dial(p)
	again.closed()
	if s := b.report(phone.Stranger{}).(phone.Stranger); s.Key != p.id.Fingerprint() || s.Phone != "" {
		t.Errorf("stranger is %+v", s)
	}
	b.Pair(p.paired())
	b.linked(p)
	stays.send(stays.status(challengeA))
	b.report(phone.Status{})
}

func TestPairingAnotherKeyCutsTheLink(t *testing.T) {
	p, swapped := newPeer(t, "phone-01"), newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	q := b.linked(p)
	b.Pair(swapped.paired())
	q.closed()
	b.report(phone.Unlinked{})
	b.linked(swapped)
	stolen := swapped.paired()
	stolen.ID = "phone-02"
	b.Pair(stolen)
	if u := b.report(phone.Unlinked{}).(phone.Unlinked); u.Phone != "phone-01" || u.Why != "its key was paired as phone-02" {
		t.Errorf("unlinked is %+v", u)
	}
}

func TestPairingAgainKeepsTheLink(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	q := b.linked(p)
	moved := p.paired()
	moved.Pool = "theatre"
	b.Pair(moved)
	q.send(q.status(challengeA))
	b.report(phone.Status{})
}

func TestCommandWithoutALinkIsDropped(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	b.Send(bindOf(p, 1), "")
	b.Send(gateway.Command{Kind: gateway.Lock, Phone: "nobody"}, "")
	q := b.linked(p)
	b.Send(bindOf(p, 2), "")
	if o := q.order(); o.Next != 2 {
		t.Errorf("got the command for fence %d, which was given before the link", o.Next)
	}
}

func TestCheckpointsGoBothWays(t *testing.T) {
	p := newPeer(t, "phone-01")
	returned := make(chan string, 1)
	b := newBox(t, func(c *Config) {
		c.Listen = listen(t)
		c.Checkpoint = func() string { return "box-1\n12\nroot\n" }
		c.Witnessed = func(id gateway.PhoneID, checkpoint string) { returned <- string(id) + " " + checkpoint }
	}, p.paired())
	b.addr = b.cfg.Listen.Addr().String()
	p = b.dial(p)
	var g Greet
	p.expect(TypeGreet, &g)
	claims := HelloClaims{Phone: p.name, Nonce: g.Nonce, BootID: p.boot, Checkpoints: map[gateway.BoxID]string{
		"box-1": "box-1\n11\nroot\n", "box-2": "box-2\n99\nroot\n"}}
	p.send(Hello{Type: TypeHello, Protocol: 1, Signed: p.jws("tapward-hello+jws", claims), Challenge: challengeA})
	var a Ack
	p.expect(TypeAck, &a)
	if a.Checkpoint != "box-1\n12\nroot\n" || g.Checkpoint != a.Checkpoint {
		t.Errorf("ack %q, greet %q", a.Checkpoint, g.Checkpoint)
	}
	if got := <-returned; got != "phone-01 box-1\n11\nroot\n" {
		t.Errorf("witnessed %q", got)
	}
	b.report(phone.Linked{})
}

func TestCheckpointTooLongForAMessageIsLeftOut(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, func(c *Config) {
		c.Listen = listen(t)
		c.Checkpoint = func() string { return strings.Repeat("x", MaxCheckpoint+1) }
	}, p.paired())
	b.addr = b.cfg.Listen.Addr().String()
	b.linked(p)
}

// The engine calls these from the loop that reads Out, so none may wait for a link that waits for the loop.
func TestNothingWaitsForABusyReaderOfReports(t *testing.T) {
	p := newPeer(t, "phone-01")
	busy := make(chan phone.Report)
	b := newBox(t, func(c *Config) { c.Listen, c.Out = listen(t), busy }, p.paired())
	b.addr = b.cfg.Listen.Addr().String()
	q := b.dial(p)
	q.greetOnly()
	<-busy
	q.send(q.status(challengeA)) // its report is not read
	for fence := range gateway.Fence(10) {
		b.Send(bindOf(p, fence+1), "")
	}
	b.Pair(p.paired())
	b.Propose(phone.Sighting{Key: p.id.Fingerprint()})
	b.Forget(p.name)
	q.closed()
}

func TestRunEndsWithItsListener(t *testing.T) {
	l := listen(t)
	links := New(Config{Box: "box-1", Identity: newIdentity(t, "box-1"), Listen: l, Out: make(chan phone.Report), Log: slog.New(slog.DiscardHandler)})
	l.Close()
	if err := links.Run(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run returned %v, want that the listener is closed", err)
	}
}

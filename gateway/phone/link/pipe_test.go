package link

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// pipes is a listener of in-memory connections, for bubbles whose clock is not the machine's.
type pipes struct {
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), over: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.over) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// arrival is a message of the box with the time it came.
type arrival struct {
	after time.Duration
	typ   Type
	order Order
	body  []byte
}

// bubble is a box with one linked phone in a synctest bubble: everything the box sends is collected with its time.
type bubble struct {
	*box
	*peer
	pipes *pipes
	start time.Time

	mu       sync.Mutex
	arrived  []arrival
	unlinked chan struct{}
}

func inBubble(t *testing.T, f func(t *testing.T, b *bubble)) {
	synctest.Test(t, func(t *testing.T) {
		p, ps := newPeer(t, "phone-01"), newPipes()
		b := newBox(t, func(c *Config) { c.Listen = ps }, p.paired())
		p = p.over(ps.dial()).greet()
		b.report(phone.Linked{})
		u := &bubble{box: b, peer: p, pipes: ps, start: time.Now(), unlinked: make(chan struct{})}
		go u.collect()
		f(t, u)
		p.conn.NetConn().Close()
	})
}

func (u *bubble) collect() {
	defer close(u.unlinked)
	for {
		members, body, err := u.peer.next()
		if err != nil {
			return
		}
		a := arrival{after: time.Since(u.start), typ: Type(members["type"].(string)), body: body}
		if a.typ == TypeCommand {
			json.Unmarshal(body, &a.order)
		}
		u.mu.Lock()
		u.arrived = append(u.arrived, a)
		u.mu.Unlock()
	}
}

// take are the arrivals of one type so far, once everything that can happen now has.
func (u *bubble) take(typ Type) (got []arrival) {
	synctest.Wait()
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, a := range u.arrived {
		if a.typ == typ {
			got = append(got, a)
		}
	}
	return got
}

// statuses sends one status every 4 s for d, as a phone does.
func (u *bubble) statuses(d time.Duration) {
	for end := time.Now().Add(d); time.Until(end) > 0; {
		time.Sleep(min(StatusEvery, time.Until(end))) // the bubble's clock
		u.send(u.status(NewNonce()))
	}
}

func TestCommandIsResentUnchangedAndEverSlower(t *testing.T) {
	inBubble(t, func(t *testing.T, u *bubble) {
		u.Send(bindOf(u.peer, 1), "")
		u.statuses(20 * time.Second)
		got := u.take(TypeCommand)
		var at []time.Duration
		for _, a := range got {
			at = append(at, a.after)
			if !bytes.Equal(a.body, got[0].body) {
				t.Errorf("after %s the command had changed", a.after)
			}
		}
		want := []time.Duration{0, 25, 75, 175, 375, 775, 1575, 3175, 6375} // ms: 25 and then doubling, for 10 s
		if len(at) != len(want) {
			t.Fatalf("sent at %v", at)
		}
		for i := range want {
			if at[i] != want[i]*time.Millisecond {
				t.Errorf("sent at %v, want at %v ms", at, want)
				break
			}
		}
	})
}

func TestReceiptEndsTheResending(t *testing.T) {
	inBubble(t, func(t *testing.T, u *bubble) {
		u.Send(bindOf(u.peer, 1), "")
		time.Sleep(30 * time.Millisecond)
		u.send(u.answer(u.take(TypeCommand)[0].order, gateway.Bound, nil))
		u.report(phone.Answer{})
		u.statuses(12 * time.Second)
		if got := u.take(TypeCommand); len(got) != 2 {
			t.Errorf("sent %d times", len(got))
		}
	})
}

func TestLateReceiptStillCounts(t *testing.T) {
	inBubble(t, func(t *testing.T, u *bubble) {
		u.Send(bindOf(u.peer, 1), "")
		u.statuses(12 * time.Second)
		for range 3 {
			u.report(phone.Status{})
		}
		u.send(u.answer(u.take(TypeCommand)[0].order, gateway.Bound, nil))
		u.report(phone.Answer{})
	})
}

func TestLaterCommandSupersedes(t *testing.T) {
	inBubble(t, func(t *testing.T, u *bubble) {
		u.Send(bindOf(u.peer, 1), "")
		first := u.take(TypeCommand)[0].order
		u.Send(gateway.Command{Kind: gateway.Release, Phone: u.name, Expect: 1, Next: 2}, "")
		time.Sleep(time.Second)
		for _, a := range u.take(TypeCommand)[1:] {
			if a.order.Next != 2 {
				t.Errorf("%s after its successor was given, fence %d was sent again", a.after, a.order.Next)
			}
		}
		u.send(u.answer(first, gateway.Bound, nil)) // the superseded one's receipt was under way
		if a := u.report(phone.Answer{}).(phone.Answer); a.Receipt.Next != 1 {
			t.Errorf("answer is %+v", a)
		}
	})
}

// What was prepared goes out when it is sent and not before, once, and only as it was prepared.
func TestPreparedCommandWaitsForSend(t *testing.T) {
	inBubble(t, func(t *testing.T, u *bubble) {
		u.Prepare(bindOf(u.peer, 1), "Dr Example")
		time.Sleep(time.Second)
		if early := u.take(TypeCommand); len(early) != 0 {
			t.Fatalf("it went out before it was sent: %+v", early)
		}
		u.Send(bindOf(u.peer, 1), "Dr Example")
		first := u.take(TypeCommand)[0].order
		grant, err := VerifyGrant(u.cfg.Identity.Public(), first.Grant)
		if err != nil || grant != grantOf(u.peer, 1) || first.Name != "Dr Example" || first.Challenge != challengeA {
			t.Errorf("order is %+v: %v", first, err)
		}
		u.send(u.answer(first, gateway.Bound, nil))
		u.report(phone.Answer{})

		u.Send(bindOf(u.peer, 1), "Dr Example")
		if second := u.take(TypeCommand)[1].order; second.ID == first.ID {
			t.Error("one id served two commands")
		}
	})
}

// What is sent is as it was asked for last, whatever was prepared.
func TestPreparedInVain(t *testing.T) {
	const newer = "challenge-b-0123456789"
	for name, c := range map[string]struct {
		status    string // with this challenge, before Send
		kind      gateway.CommandKind
		shown     string
		challenge string
	}{
		"another command is sent":        {"", gateway.Release, "", challengeA},
		"it is sent for another name":    {"", gateway.Bind, "Nurse Example", challengeA},
		"the phone gave a new challenge": {newer, gateway.Bind, "Dr Example", newer},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, u *bubble) {
				u.Prepare(bindOf(u.peer, 1), "Dr Example")
				synctest.Wait()
				if c.status != "" {
					u.send(u.status(c.status))
					u.report(phone.Status{})
				}
				command := bindOf(u.peer, 1)
				command.Kind = c.kind
				u.Send(command, c.shown)
				o := u.take(TypeCommand)[0].order
				if o.Kind != c.kind || o.Name != c.shown || o.Challenge != c.challenge {
					t.Errorf("order is %+v", o)
				}
			})
		})
	}
}

func TestOldChallengeIsRenewedByAPing(t *testing.T) {
	inBubble(t, func(t *testing.T, u *bubble) {
		time.Sleep(9 * time.Second) // pinged at 5 s; this phone does not answer
		u.Send(bindOf(u.peer, 1), "")
		time.Sleep(30 * time.Millisecond)
		if got := u.take(TypeCommand); len(got) != 0 {
			t.Fatalf("sent with a challenge of %s", got[0].after)
		}
		if pings := u.take(TypePing); len(pings) != 3 || pings[1].after != 9*time.Second || pings[2].after != 9025*time.Millisecond {
			t.Errorf("pings: %+v", pings)
		}
		u.send(u.status("challenge-c-0123456789"))
		got := u.take(TypeCommand)
		if len(got) != 1 || got[0].order.Challenge != "challenge-c-0123456789" {
			t.Fatalf("sent %+v", got)
		}
	})
}

func TestStaleChallengeIsRetriedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, u *bubble) {
		decline := func(o Order, challenge string) {
			m := u.answer(o, gateway.Declined, func(c *ReceiptClaims) { c.Reason = StaleChallenge })
			m.Challenge = challenge
			u.send(m)
		}
		u.Send(bindOf(u.peer, 1), "")
		first := u.take(TypeCommand)[0].order
		decline(first, "challenge-d-0123456789")
		got := u.take(TypeCommand)
		second := got[len(got)-1].order
		if second.ID == first.ID || second.Challenge != "challenge-d-0123456789" || second.Next != first.Next {
			t.Fatalf("retried as %+v", second)
		}
		decline(second, "challenge-e-0123456789")
		if a := u.report(phone.Answer{}).(phone.Answer); a.Receipt.Kind != gateway.Declined || a.Receipt.Reason != StaleChallenge {
			t.Errorf("answer is %+v", a)
		}
		time.Sleep(time.Second)
		if n := len(u.take(TypeCommand)); n != len(got) {
			t.Errorf("%d commands after the second refusal, want %d", n, len(got))
		}
	})
}

func TestOtherRefusalsAreReportedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, u *bubble) {
		u.Send(bindOf(u.peer, 1), "")
		o := u.take(TypeCommand)[0].order
		u.send(u.answer(o, gateway.Declined, func(c *ReceiptClaims) {
			c.Reason, c.Truth.Fence = FenceMismatch, 40
		}))
		if a := u.report(phone.Answer{}).(phone.Answer); a.Receipt.Reason != FenceMismatch || a.Receipt.Truth.Fence != 40 {
			t.Errorf("answer is %+v", a)
		}
	})
}

func TestSilentPhoneIsPingedAndThenGone(t *testing.T) {
	inBubble(t, func(t *testing.T, u *bubble) {
		<-u.unlinked
		if after := time.Since(u.start); after != DeadAfter {
			t.Errorf("ended after %s", after)
		}
		pings := u.take(TypePing)
		if len(pings) != 2 || pings[0].after != 5*time.Second || pings[1].after != 10*time.Second {
			t.Errorf("pings: %+v", pings)
		}
		if r := u.report(phone.Unlinked{}).(phone.Unlinked); r.Why != "silent for 15s" {
			t.Errorf("unlinked is %+v", r)
		}
	})
}

func TestPhoneThatSpeaksIsNeverPinged(t *testing.T) {
	inBubble(t, func(t *testing.T, u *bubble) {
		u.statuses(time.Minute)
		if pings := u.take(TypePing); len(pings) != 0 {
			t.Errorf("pings: %+v", pings)
		}
		if acks := u.take(TypeAck); len(acks) != 15 {
			t.Errorf("%d acks for 15 statuses", len(acks))
		}
	})
}

func TestPhoneThatDoesNotReadIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, ps := newPeer(t, "phone-01"), newPipes()
		b := newBox(t, func(c *Config) { c.Listen = ps }, p.paired())
		p.over(ps.dial()).greet()
		b.report(phone.Linked{})
		start := time.Now()
		b.Send(bindOf(p, 1), "")
		b.report(phone.Unlinked{})
		if after := time.Since(start); after != writeTimeout {
			t.Errorf("ended after %s", after)
		}
	})
}

func TestConnectionsWithoutAHelloAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, ps := newPeer(t, "phone-01"), newPipes()
		b := newBox(t, func(c *Config) { c.Listen = ps }, p.paired())
		mute := ps.dial()
		greeted := p.over(ps.dial())
		var g Greet
		greeted.expect(TypeGreet, &g)
		start := time.Now()
		greeted.closed()
		if after := time.Since(start); after != handshakeTimeout {
			t.Errorf("no hello: closed after %s", after)
		}
		if _, err := mute.Read(make([]byte, 1)); err == nil {
			t.Error("a mute connection was answered")
		}
		synctest.Wait()
		if len(b.out) != 0 {
			t.Errorf("reported %+v", <-b.out)
		}
		if n := len(b.halfOpen.conns); n != 0 {
			t.Errorf("%d connections are still counted as half open", n)
		}
	})
}

func TestTooManyMessagesEndTheLink(t *testing.T) {
	inBubble(t, func(t *testing.T, u *bubble) {
		go func() {
			body, _ := json.Marshal(u.status(challengeA))
			for u.raw(body) == nil {
			}
		}()
		<-u.unlinked
		for r := range u.out { // the statuses that were within the rate come first
			if s, ok := r.(phone.Stranger); ok {
				if !strings.Contains(s.Why, "more messages") {
					t.Errorf("stranger is %+v", s)
				}
				return
			}
		}
	})
}

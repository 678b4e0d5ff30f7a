package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// network is what the box's dials meet in a bubble.
type network struct {
	mu    sync.Mutex
	tried map[string][]time.Time
	there map[string]func(net.Conn) // what listens at an address
}

func newNetwork() *network {
	return &network{tried: map[string][]time.Time{}, there: map[string]func(net.Conn){}}
}

func (n *network) dial(_ context.Context, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tried[addr] = append(n.tried[addr], time.Now())
	serve := n.there[addr]
	if serve == nil {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	go serve(theirs)
	return ours, nil
}

func (n *network) attempts(addr string) []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.tried[addr])
}

func (n *network) put(addr string, serve func(net.Conn)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.there[addr] = serve
}

func (n *network) box(t *testing.T, listen net.Listener, phones ...gateway.Phone) *box {
	return newBox(t, func(c *Config) { c.Listen, c.Dial = listen, n.dial }, phones...)
}

func sightingOf(p *peer, addrs ...string) phone.Sighting {
	s := phone.Sighting{At: time.Now(), Name: string(p.name), Key: p.id.Fingerprint()}
	for _, a := range addrs {
		s.Addrs = append(s.Addrs, netip.MustParseAddrPort(a))
	}
	return s
}

// answering is the phone itself at an address: it greets and then only reads.
func answering(p *peer) func(net.Conn) {
	return func(raw net.Conn) {
		q := *p
		q.accepted(raw).greetOnly()
		q.drain()
	}
}

// impostor speaks TLS with a key of its own.
func impostor(t *testing.T, p *peer) func(net.Conn) {
	other := newPeer(t, p.name)
	return func(raw net.Conn) {
		other.accepted(&sendBuffer{Conn: raw, queue: make(chan []byte, 16)}).conn.Handshake()
	}
}

// sendBuffer lets its side write before the other reads, as TCP does and net.Pipe does not: a peer that is refused in the
// middle of its flight would else never hear of it.
type sendBuffer struct {
	net.Conn
	queue chan []byte
	start sync.Once
	end   sync.Once
}

func (b *sendBuffer) Write(p []byte) (int, error) {
	b.start.Do(func() {
		go func() {
			for p := range b.queue {
				if _, err := b.Conn.Write(p); err != nil {
					return
				}
			}
		}()
	})
	b.queue <- slices.Clone(p)
	return len(p), nil
}

func (b *sendBuffer) Close() error {
	b.end.Do(func() { close(b.queue) })
	return b.Conn.Close()
}

func TestDialsThatFailComeSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, n := newPeer(t, "phone-01"), newNetwork()
		paired := p.paired()
		paired.Addrs = []string{"10.0.0.1:7"}
		n.box(t, nil, paired)
		time.Sleep(10 * time.Minute)
		at := n.attempts("10.0.0.1:7")
		if len(at) < 12 || len(at) > 24 {
			t.Fatalf("%d attempts in ten minutes", len(at))
		}
		for i := 2; i < len(at); i++ {
			gap := at[i].Sub(at[i-1])
			if gap > redialMax*5/4+time.Second {
				t.Errorf("attempt %d came after %s", i, gap)
			}
			if i > 8 && gap < redialMax*3/4 {
				t.Errorf("attempt %d came after %s already", i, gap)
			}
		}
	})
}

func TestForgedSightingsDoNotHideThePhone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, n := newPeer(t, "phone-01"), newNetwork()
		b := n.box(t, nil, p.paired())
		start := time.Now()
		b.Propose(sightingOf(newPeer(t, "phone-02"), "10.0.0.9:7")) // nobody paired it
		n.put("10.0.0.66:7", impostor(t, p))
		n.put("10.0.0.67:7", func(net.Conn) {}) // takes the connection and says nothing
		n.put("10.0.0.1:7", answering(p))
		b.Propose(sightingOf(p, "10.0.0.66:7", "10.0.0.67:7"))
		if s := b.report(phone.Stranger{}).(phone.Stranger); s.Address != "10.0.0.66:7" || s.Phone != "" || s.Key == p.id.Fingerprint() {
			t.Errorf("stranger is %+v", s)
		}
		b.Propose(sightingOf(p, "10.0.0.1:7"))
		b.report(phone.Linked{})
		if after := time.Since(start); after > 3*time.Second {
			t.Errorf("linked after %s", after)
		}
		if len(n.attempts("10.0.0.9:7")) != 0 {
			t.Error("an unpaired phone was dialled")
		}
	})
}

// Only where the phone proved itself is worth remembering, and only what the box dialled.
func TestReachedIsWhereThePhoneProvedItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, own, n, ps := newPeer(t, "phone-01"), newPeer(t, "phone-02"), newNetwork(), newPipes()
		reached := make(chan string, 16)
		b := newBox(t, func(c *Config) {
			c.Listen, c.Dial = ps, n.dial
			c.Reached = func(id gateway.PhoneID, addr string) { reached <- string(id) + " at " + addr }
		}, p.paired(), own.paired())
		n.put("10.0.0.66:7", impostor(t, p))
		n.put("10.0.0.1:7", answering(p))
		b.Propose(sightingOf(p, "10.0.0.66:7"))
		b.report(phone.Stranger{})
		own.over(ps.dial()).greet().drain()
		b.report(phone.Linked{})
		b.Propose(sightingOf(p, "10.0.0.1:7"))
		b.report(phone.Linked{})
		synctest.Wait()
		if got := <-reached; got != "phone-01 at 10.0.0.1:7" || len(reached) != 0 {
			t.Errorf("reached %s, and %d more", got, len(reached))
		}
	})
}

func TestNobodyDialsALinkedPhone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, n, ps := newPeer(t, "phone-01"), newNetwork(), newPipes()
		b := n.box(t, ps, p.paired())
		own := *p
		own.over(ps.dial()).greet()
		b.report(phone.Linked{})
		go func() {
			for range 10 {
				time.Sleep(StatusEvery)
				own.send(own.status(NewNonce()))
			}
		}()
		own.drain()
		n.put("10.0.0.1:7", answering(p))
		b.Propose(sightingOf(p, "10.0.0.1:7"))
		for range 10 {
			b.report(phone.Status{})
		}
		if at := n.attempts("10.0.0.1:7"); len(at) != 0 {
			t.Errorf("dialled %d times while the phone's own connection stood", len(at))
		}
		own.conn.NetConn().Close()
		b.report(phone.Unlinked{})
		b.report(phone.Linked{}) // now the address from the sighting serves
	})
}

// The phone dials while the box is dialling: the phone's own connection stays, whichever is ready first.
func TestPhonesOwnConnectionWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, n, ps := newPeer(t, "phone-01"), newNetwork(), newPipes()
		b := n.box(t, ps, p.paired())
		dropped := make(chan error, 1)
		n.put("10.0.0.1:7", func(raw net.Conn) {
			own, dialled := *p, *p
			own.over(ps.dial()).greet()
			own.drain()
			_, _, err := dialled.accepted(raw).next() // the box authenticates us here, and must not greet
			dropped <- err
		})
		b.Propose(sightingOf(p, "10.0.0.1:7"))
		b.report(phone.Linked{})
		if err := <-dropped; err == nil {
			t.Error("the box greeted over the connection it dialled, too")
		}
		synctest.Wait()
		if len(b.out) != 0 {
			t.Errorf("reported %+v", <-b.out)
		}
	})
}

// The same, where the box has greeted over its connection before the phone's own came.
func TestPhonesOwnConnectionWinsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, n, ps := newPeer(t, "phone-01"), newNetwork(), newPipes()
		b := n.box(t, ps, p.paired())
		dropped := make(chan error, 1)
		n.put("10.0.0.1:7", func(raw net.Conn) {
			own, dialled := *p, *p
			var g Greet
			dialled.accepted(raw).expect(TypeGreet, &g)
			own.over(ps.dial()).greet()
			own.drain()
			dialled.send(dialled.helloTo(g, gateway.Truth{}))
			_, _, err := dialled.next()
			dropped <- err
		})
		b.Propose(sightingOf(p, "10.0.0.1:7"))
		b.report(phone.Linked{})
		if err := <-dropped; err == nil {
			t.Error("the connection that the box dialled was kept")
		}
		synctest.Wait()
		if len(b.out) != 0 {
			t.Errorf("reported %+v", <-b.out)
		}
	})
}

func TestLinkThatWasDialledIsRedialledSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, n := newPeer(t, "phone-01"), newNetwork()
		conns := make(chan *peer, 4)
		n.put("10.0.0.1:7", func(raw net.Conn) {
			q := *p
			conns <- q.accepted(raw).greet()
		})
		b := n.box(t, nil, p.paired())
		b.Propose(sightingOf(p, "10.0.0.1:7"))
		b.report(phone.Linked{})
		(<-conns).conn.NetConn().Close()
		b.report(phone.Unlinked{})
		start := time.Now()
		b.report(phone.Linked{})
		if after := time.Since(start); after > time.Second {
			t.Errorf("linked again after %s", after)
		}
		(<-conns).conn.NetConn().Close()
		b.report(phone.Unlinked{})
	})
}

func TestRoutesStayBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	forged := func(i int) string {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 7).String()
	}
	var rs routes
	rs.configure([]string{"10.0.0.1:7"})
	rs.sight("10.0.0.2:7", now)
	rs.find("10.0.0.2:7").good = true
	for i := range maxSighted - 1 {
		rs.sight(forged(i), now)
	}
	rs.sight(forged(99), now)
	if rs.find(forged(99)) != nil || rs.find(forged(0)) == nil {
		t.Error("an address was pushed out before it was tried")
	}
	for i := range 1000 {
		for _, r := range rs {
			if !r.good && !r.configured {
				r.retry(true, now)
			}
		}
		rs.sight(forged(100+i), now)
		if rs.find(forged(100+i)) == nil {
			t.Fatal("a new address got no place although all others have failed")
		}
		if rs.sighted() > maxSighted {
			t.Fatalf("%d sighted addresses are kept", rs.sighted())
		}
	}
	if rs.find("10.0.0.1:7") == nil || rs.find("10.0.0.2:7") == nil {
		t.Error("a forged sighting pushed out a configured or proven address")
	}
	if first := rs.next(now); first == nil || first.addr != "10.0.0.2:7" {
		t.Errorf("first to dial is %+v", first)
	}
}

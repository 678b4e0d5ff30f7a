package link

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway/phone"
)

// Connections that say nothing push out each other, never a phone, whether it was linked before or comes now.
func TestHalfOpenConnectionsCannotLockPhonesOut(t *testing.T) {
	inBubble(t, func(t *testing.T, linked *bubble) {
		late := newPeer(t, "phone-02")
		linked.Pair(late.paired())
		const more = 64
		var pushedOut atomic.Int64
		for i := range maxHalfOpen + more {
			c := linked.pipes.dial()
			defer c.Close()
			if i%2 == 0 {
				c.Write([]byte{22, 3, 1}) // the beginning of a ClientHello that never goes on
			}
			go func() {
				c.Read(make([]byte, 1))
				pushedOut.Add(1)
			}()
		}
		synctest.Wait()
		if n := pushedOut.Load(); n != more {
			t.Errorf("%d were closed before their time, want the oldest %d", n, more)
		}
		late.over(linked.pipes.dial()).greet().drain()
		linked.report(phone.Linked{})
		linked.send(linked.status(challengeA))
		linked.report(phone.Status{})
		if took := time.Since(linked.start); took != 0 {
			t.Errorf("the phones had to wait %s", took)
		}
	})
}

func TestOneKeyCannotHoldManyHandshakes(t *testing.T) {
	p, other := newPeer(t, "phone-01"), newPeer(t, "phone-02")
	b := newBox(t, nil, p.paired(), other.paired())
	for range maxGreeting {
		b.dial(p).expect(TypeGreet, &Greet{})
	}
	b.dial(p).closed()
	if s := b.report(phone.Stranger{}).(phone.Stranger); !strings.Contains(s.Why, "at once") {
		t.Errorf("stranger is %+v", s)
	}
	b.linked(other)
}

func TestOneKeyCannotLinkTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, ps := newPeer(t, "phone-01"), newPipes()
		b := newBox(t, func(c *Config) { c.Listen = ps }, p.paired())
		connect := func() *peer {
			q := *p
			return q.over(ps.dial())
		}
		for range int(linkRate.burst) {
			connect().greet().drain()
			b.report(phone.Linked{})
		}
		connect().closed()
		if s := b.report(phone.Stranger{}).(phone.Stranger); !strings.Contains(s.Why, "too often") {
			t.Errorf("stranger is %+v", s)
		}
		time.Sleep(time.Second)
		connect().greet().drain()
		b.report(phone.Linked{})
	})
}

func TestFloodOfStrangersIsCountedNotListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, ps := newPeer(t, "phone-01"), newPipes()
		b := newBox(t, func(c *Config) { c.Listen = ps }, p.paired())
		stranger := newPeer(t, "phone-01") // the right name, another key
		refused := func() {
			q := *stranger
			q.over(ps.dial()).closed()
			synctest.Wait()
		}
		const flood = 100
		for range flood {
			refused()
		}
		listed := len(b.out)
		if listed != int(strangerRate.burst) {
			t.Errorf("%d of %d were reported", listed, flood)
		}
		for range listed {
			s := b.report(phone.Stranger{}).(phone.Stranger)
			if s.Key != stranger.id.Fingerprint() || s.Phone != "" {
				t.Fatalf("stranger is %+v", s)
			}
		}
		offender := *p
		q := offender.over(ps.dial())
		q.expect(TypeGreet, &Greet{})
		q.send(q.status(challengeA))
		if s := b.report(phone.Stranger{}).(phone.Stranger); s.Phone != "phone-01" {
			t.Errorf("a paired phone's offence was hidden by strangers: %+v", s)
		}
		time.Sleep(2 * time.Second)
		refused()
		want := fmt.Sprintf("and %d more", flood-listed)
		if s := b.report(phone.Stranger{}).(phone.Stranger); !strings.Contains(s.Why, want) {
			t.Errorf("stranger is %+v, want %q", s, want)
		}
	})
}

func TestGarbageInsteadOfTLS(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: box\r\n\r\n")
	io.Copy(io.Discard, c)
	if s := b.report(phone.Stranger{}).(phone.Stranger); s.Address != c.LocalAddr().String() || s.Phone != "" || !s.Key.IsZero() {
		t.Errorf("stranger is %+v", s)
	}
	b.linked(p)
}

// A phone that knows the box's key and nothing else, and one with the phone's certificate but not its key.
func TestCopiedCertificateIsNoKey(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	raw, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := p.config()
	cfg.Certificates = []tls.Certificate{{Certificate: [][]byte{p.id.cert.Raw}, PrivateKey: newIdentity(t, "thief").key}}
	q := *p
	q.conn = tls.Client(raw, cfg)
	defer raw.Close()
	q.closed()
	if s := b.report(phone.Stranger{}).(phone.Stranger); s.Phone != "" {
		t.Errorf("stranger is %+v", s)
	}
}

func TestBucket(t *testing.T) {
	var b bucket
	at := time.Unix(0, 0)
	r := rate{burst: 2, perSecond: 1}
	for i, want := range []bool{true, true, false} {
		if got := b.take(at, r); got != want {
			t.Errorf("take %d at once: %v", i, got)
		}
	}
	for i, want := range []bool{true, false} {
		if got := b.take(at.Add(time.Second), r); got != want {
			t.Errorf("take %d a second later: %v; one more is there then", i, got)
		}
	}
	for i, want := range []bool{true, true, false} {
		if got := b.take(at.Add(time.Hour), r); got != want {
			t.Errorf("take %d an hour later: %v; it never holds more than its burst", i, got)
		}
	}
}

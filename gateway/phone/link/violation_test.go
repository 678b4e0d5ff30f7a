package link

import (
	"strings"
	"testing"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// Whatever a phone does wrong ends its own link, is reported once with the reason, and harms no other link.
func TestViolationsInTheHello(t *testing.T) {
	held := func(p *peer, fence gateway.Fence) string {
		return es256(t, newIdentity(t, "other-box").key, `{"alg":"ES256","typ":"tapward-grant+jws"}`, grantOf(p, fence).Canonical())
	}
	cases := map[string]struct {
		why  string
		send func(p *peer, g Greet)
	}{
		"wrong nonce": {"nonce", func(p *peer, g Greet) {
			g.Nonce = "another-nonce-0123456"
			p.send(p.helloTo(g, gateway.Truth{}))
		}},
		"another phone's id": {"is of phone", func(p *peer, g Greet) {
			p.name = "phone-99"
			p.send(p.helloTo(g, gateway.Truth{}))
		}},
		"another key's signature": {"verify", func(p *peer, g Greet) {
			p.id = newIdentity(p.t, "copy")
			p.send(p.helloTo(g, gateway.Truth{}))
		}},
		"another typ": {"typ is not", func(p *peer, g Greet) {
			h := p.helloTo(g, gateway.Truth{})
			h.Signed = p.jws("tapward-receipt+jws", HelloClaims{Phone: p.name, Nonce: g.Nonce, BootID: p.boot})
			p.send(h)
		}},
		"another protocol": {"protocol 2", func(p *peer, g Greet) {
			h := p.helloTo(g, gateway.Truth{})
			h.Protocol = 2
			p.send(h)
		}},
		"status first":   {"want hello", func(p *peer, g Greet) { p.send(p.status(challengeA)) }},
		"greet answered": {"want hello", func(p *peer, g Greet) { p.send(g) }},
		"unknown type":   {"not known", func(p *peer, g Greet) { p.raw([]byte(`{"type":"unlock"}`)) }},
		"garbage":        {"malformed", func(p *peer, g Greet) { p.raw([]byte("\x00\xff{{{")) }},
		"oversized":      {"length", func(p *peer, g Greet) { p.conn.Write([]byte{0, 0, 0x40, 1}) }},
		"empty":          {"length", func(p *peer, g Greet) { p.conn.Write([]byte{0, 0, 0, 0}) }},
		"trailing": {"malformed", func(p *peer, g Greet) {
			p.raw([]byte(`{"type":"status"} {"type":"status"}`))
		}},
		"a grant without its signed form": {"held goes with", func(p *peer, g Greet) {
			p.send(p.helloTo(g, gateway.Truth{Fence: 3, Box: "box-1", Grant: grantOf(p, 3).Digest()}))
		}},
		"the last fence": {"the last there is", func(p *peer, g Greet) {
			h := p.helloTo(g, gateway.Truth{})
			h.Signed = p.jws("tapward-hello+jws", HelloClaims{Phone: p.name, Nonce: g.Nonce, BootID: p.boot, Truth: gateway.Truth{Fence: gateway.LastFence}})
			p.send(h)
		}},
		"another grant held than told": {"not the one its truth names", func(p *peer, g Greet) {
			h := p.helloTo(g, gateway.Truth{})
			h.Signed = p.jws("tapward-hello+jws", HelloClaims{Phone: p.name, Nonce: g.Nonce, BootID: p.boot, Held: held(p, 4),
				Truth: gateway.Truth{Fence: 3, Box: "box-1", Grant: grantOf(p, 3).Digest()}})
			p.send(h)
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, other := newPeer(t, "phone-01"), newPeer(t, "phone-02")
			b := newBox(t, nil, p.paired(), other.paired())
			healthy := b.linked(other)
			p = b.dial(p)
			var g Greet
			p.expect(TypeGreet, &g)
			key := p.id.Fingerprint()
			c.send(p, g)
			p.closed()
			s := b.report(phone.Stranger{}).(phone.Stranger)
			if !strings.Contains(s.Why, c.why) || s.Phone != "phone-01" || s.Key != key || s.Address == "" {
				t.Errorf("stranger is %+v, want %q", s, c.why)
			}
			healthy.send(healthy.status(challengeA))
			b.report(phone.Status{})
		})
	}
}

func TestViolationsOnAStandingLink(t *testing.T) {
	receipt := func(kind gateway.ReceiptKind, change func(*ReceiptClaims)) func(p *peer, o Order) {
		return func(p *peer, o Order) { p.send(p.answer(o, kind, change)) }
	}
	cases := map[string]struct {
		why  string
		send func(p *peer, o Order)
	}{
		"second hello":    {"out of order", func(p *peer, o Order) { p.send(p.helloTo(Greet{Nonce: "nonce-nonce-nonce-1"}, gateway.Truth{})) }},
		"a box's message": {"out of order", func(p *peer, o Order) { p.send(Ping{Type: TypePing}) }},
		"unknown type":    {"not known", func(p *peer, o Order) { p.raw([]byte(`{"type":"wipe"}`)) }},
		"repeated member": {"malformed", func(p *peer, o Order) {
			p.raw([]byte(`{"type":"status","challenge":"0123456789abcdef","battery":1,"battery":2}`))
		}},
		"oversized":     {"length", func(p *peer, o Order) { p.conn.Write([]byte{0xff, 0xff, 0xff, 0xff}) }},
		"another phone": {"is of phone", receipt(gateway.Bound, func(c *ReceiptClaims) { c.Phone = "phone-02" })},
		"another boot":  {"another boot", receipt(gateway.Bound, func(c *ReceiptClaims) { c.BootID = "boot-2" })},
		"unknown command": {"not sent on this link", func(p *peer, o Order) {
			o.ID = NewNonce()
			p.send(p.answer(o, gateway.Bound, nil))
		}},
		"id beside another's signature": {"signed command", func(p *peer, o Order) {
			m := p.answer(o, gateway.Bound, nil)
			m.ID = NewNonce()
			p.send(m)
		}},
		"another next":        {"another next", receipt(gateway.Bound, func(c *ReceiptClaims) { c.Next++ })},
		"fence rose by two":   {"fence", receipt(gateway.Bound, func(c *ReceiptClaims) { c.Truth.Fence++ })},
		"fence stayed":        {"fence", receipt(gateway.Bound, func(c *ReceiptClaims) { c.Truth.Fence-- })},
		"the last fence":      {"the last there is", receipt(gateway.Declined, func(c *ReceiptClaims) { c.Truth.Fence = gateway.LastFence })},
		"another grant":       {"does not hold", receipt(gateway.Bound, func(c *ReceiptClaims) { c.Truth.Grant[0] ^= 1 })},
		"another box's grant": {"does not hold", receipt(gateway.Bound, func(c *ReceiptClaims) { c.Truth.Box = "box-2" })},
		"cleared for a bind":  {"wrong kind", receipt(gateway.Cleared, nil)},
		"bad signature": {"verify", func(p *peer, o Order) {
			p.id = newIdentity(p.t, "copy")
			p.send(p.answer(o, gateway.Bound, nil))
		}},
		"a lock of its own with a fence": {"only a lock", func(p *peer, o Order) {
			o.ID = ""
			p.send(p.answer(o, gateway.Locked, nil))
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, other := newPeer(t, "phone-01"), newPeer(t, "phone-02")
			b := newBox(t, nil, p.paired(), other.paired())
			healthy, p := b.linked(other), b.linked(p)
			b.Send(bindOf(p, 5), "")
			c.send(p, p.order())
			p.closed()
			if s := b.report(phone.Stranger{}).(phone.Stranger); !strings.Contains(s.Why, c.why) || s.Phone != "phone-01" {
				t.Errorf("stranger is %+v, want %q", s, c.why)
			}
			b.report(phone.Unlinked{})
			healthy.send(healthy.status(challengeA))
			b.report(phone.Status{})
		})
	}
}

func TestReceiptRecordedOnAnEarlierLinkIsRefused(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	first := b.linked(p)
	b.Send(bindOf(p, 1), "")
	recorded := first.answer(first.order(), gateway.Bound, nil)
	first.send(recorded)
	b.report(phone.Answer{})
	second := b.linked(p)
	b.Send(bindOf(p, 2), "")
	second.order()
	second.send(recorded)
	second.closed()
	b.report(phone.Stranger{})
	b.report(phone.Unlinked{})
}

func TestRepeatedReceiptIsReportedOnce(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	p = b.linked(p)
	b.Send(bindOf(p, 1), "")
	m := p.answer(p.order(), gateway.Bound, nil)
	p.send(m)
	p.send(m)
	p.send(p.status(challengeA))
	b.report(phone.Answer{})
	b.report(phone.Status{})
}

func TestLocksOfThePhonesOwn(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	p = b.linked(p)
	lock := func(at int64) ReceiptMessage {
		return p.answer(Order{}, gateway.Locked, func(c *ReceiptClaims) { c.SinceMS, c.Reason = at, gateway.IdleLock })
	}
	second := lock(3000)
	p.send(lock(2000))
	p.send(second)
	p.send(second)
	p.send(p.status(challengeA))
	for range 2 {
		if a := b.report(phone.Answer{}).(phone.Answer); a.Receipt.Kind != gateway.Locked || a.Receipt.Reason != gateway.IdleLock || a.Receipt.Next != 0 {
			t.Errorf("answer is %+v", a)
		}
	}
	b.report(phone.Status{})
	p.send(lock(2500))
	p.closed()
	b.report(phone.Stranger{})
}

package handoff_test

import (
	"sync"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// handsets play the phones at the other end of the links, by the protocol document's rules, a few milliseconds away. Each
// can fail in both ways: not do it, or do it and say nothing.
type handsets struct {
	mu     sync.Mutex
	report func(phone.Report)
	all    map[gateway.PhoneID]*handset
	sent   []gateway.Command

	prepared []gateway.Command
}

type handset struct {
	id        gateway.PhoneID
	linked    bool
	fence     gateway.Fence
	grant     gateway.Grant
	digest    gateway.Digest
	name      string
	locked    bool
	left      bool
	battery   int
	slot      string
	picked    bool
	presented gateway.ReaderID
	away      bool // it stood outside a dock in its session

	deaf        bool // commands do not reach it
	mute        bool // it obeys and its receipt is lost
	cannotClear bool
}

const air = 3 * time.Millisecond

func newHandsets() *handsets { return &handsets{all: map[gateway.PhoneID]*handset{}} }

func (hs *handsets) add(id gateway.PhoneID) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.all[id] = &handset{id: id, battery: 90}
}

// change edits a handset as a person or bad luck would.
func (hs *handsets) change(id gateway.PhoneID, edit func(h *handset)) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	edit(hs.all[id])
}

func (hs *handsets) name(id gateway.PhoneID) string {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if h := hs.all[id]; !h.locked {
		return h.name
	}
	return "locked: " + hs.all[id].name
}

// link says hello and then how the phone is.
func (hs *handsets) link(id gateway.PhoneID) {
	hs.mu.Lock()
	h := hs.all[id]
	h.linked = true
	truth := h.truth()
	hs.mu.Unlock()
	hs.report(phone.Linked{At: time.Now(), Phone: id, Truth: truth})
	hs.status(id)
}

func (hs *handsets) unlink(id gateway.PhoneID) {
	hs.change(id, func(h *handset) { h.linked = false })
	hs.report(phone.Unlinked{At: time.Now(), Phone: id, Why: "test"})
}

func (hs *handsets) status(id gateway.PhoneID) {
	hs.mu.Lock()
	h := *hs.all[id]
	hs.mu.Unlock()
	hs.report(phone.Status{At: time.Now(), Phone: id, Battery: h.battery, Healthy: !h.left, Slot: h.slot, PickedUp: h.picked, Left: h.away, Presented: h.presented, Locked: h.locked})
}

// pick takes the phone up, use touches it where it is, dock puts it into a slot.
func (hs *handsets) pick(id gateway.PhoneID) {
	hs.change(id, func(h *handset) { h.picked, h.away, h.slot = true, true, "" })
	hs.status(id)
}

func (hs *handsets) use(id gateway.PhoneID) {
	hs.change(id, func(h *handset) { h.picked = true })
	hs.status(id)
}

func (hs *handsets) dock(id gateway.PhoneID, slot string) {
	hs.change(id, func(h *handset) { h.slot = slot })
	hs.status(id)
}

func (h *handset) truth() gateway.Truth {
	return gateway.Truth{Fence: h.fence, Box: h.grant.Box, Grant: h.digest, Locked: h.locked}
}

// Send is the box's side.
func (hs *handsets) Send(c gateway.Command, name string) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.sent = append(hs.sent, c)
	time.AfterFunc(air, func() {
		hs.mu.Lock()
		h := hs.all[c.Phone]
		if h == nil || h.deaf || !h.linked {
			hs.mu.Unlock()
			return
		}
		r := h.obey(c, name)
		mute := h.mute
		hs.mu.Unlock()
		if !mute {
			time.AfterFunc(air, func() { hs.report(phone.Answer{At: time.Now(), Receipt: r}) })
		}
	})
}

// Prepare is heard by no phone.
func (hs *handsets) Prepare(c gateway.Command, _ string) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.prepared = append(hs.prepared, c)
}

func (*handsets) Pair(gateway.Phone)       {}
func (*handsets) Forget(gateway.PhoneID)   {}
func (*handsets) Propose(_ phone.Sighting) {}

func (h *handset) obey(c gateway.Command, name string) gateway.Receipt {
	r := gateway.Receipt{Kind: gateway.Declined, Phone: c.Phone, Next: c.Next, Signed: "signed by " + string(c.Phone)}
	ok := c.Expect == h.fence && c.Next == h.fence+1
	switch c.Kind {
	case gateway.Bind:
		ok = ok && h.digest.IsZero() && !h.left
	case gateway.Renew, gateway.Lock:
		ok = ok && c.Grant.Digest() == h.digest
	}
	if ok {
		h.fence = c.Next
		switch c.Kind {
		case gateway.Bind:
			h.grant, h.digest, h.name, h.locked, h.picked = c.Grant, c.Grant.Digest(), name, false, false
			h.away = h.slot == ""
			r.Kind = gateway.Bound
		case gateway.Renew:
			h.locked = h.locked && !c.Unlock
			r.Kind = gateway.Renewed
		case gateway.Lock:
			h.locked = true
			r.Kind = gateway.Locked
		case gateway.Release:
			h.grant, h.digest, h.name, h.locked, h.left = gateway.Grant{}, gateway.Digest{}, "", false, h.cannotClear
			r.Kind = gateway.Cleared
			if h.left {
				r.Kind = gateway.ClearFailed
			}
		}
	}
	r.Truth = h.truth()
	return r
}

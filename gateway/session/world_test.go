package session

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"tapward/gateway"
)

// A world is the box's state together with what it is about: phones that follow the protocol's rules, written here a
// second time and as plainly as possible, and messages that are late, out of order, lost or repeated.
type world struct {
	box    State
	phones []handset
	flight []message
	opened []bool // per phone: a session-opened record stands without its end
	now    time.Time
	permit map[gateway.Custody]gateway.ClinicianID
	failed []gateway.Custody // ended without a phone
}

// handset is a phone as the protocol document describes it.
type handset struct {
	fence  gateway.Fence
	grant  gateway.Grant
	digest gateway.Digest
	locked bool
	left   bool // something of the last session was not cleared
}

func (h handset) truth() gateway.Truth {
	return gateway.Truth{Fence: h.fence, Box: h.grant.Box, Grant: h.digest, Locked: h.locked}
}

// message is a command on its way to a phone or a receipt on its way back.
type message struct {
	phone   int
	command gateway.Command
	receipt gateway.Receipt
}

const ourBox, otherBox = gateway.BoxID("ours"), gateway.BoxID("other")

var (
	people = []gateway.ClinicianID{"ana", "ben"}
	labels = []gateway.PhoneID{"phone-1", "phone-2"}
	doors  = []gateway.ReaderID{"door", "desk"}
	terms  = gateway.Terms{
		Lease: time.Hour, Idle: 10 * time.Minute, Limit: 8 * time.Hour, Drift: 10 * time.Second,
		Bind: 5 * time.Second, Release: 5 * time.Second, Pickup: time.Minute, Return: 10 * time.Second,
	}
	allTerms = map[gateway.PhoneID]gateway.Terms{labels[0]: terms, labels[1]: terms}
)

func newWorld() world {
	w := world{now: time.Unix(1e9, 0), phones: make([]handset, len(labels)), opened: make([]bool, len(labels)),
		permit: map[gateway.Custody]gateway.ClinicianID{}}
	w.box.Box = ourBox
	for _, id := range labels {
		w.box, _ = Step(w.box, Added{Phone: id})
	}
	return w
}

func (w world) clone() world {
	w.phones = slices.Clone(w.phones)
	w.flight = slices.Clone(w.flight)
	w.opened = slices.Clone(w.opened)
	return w
}

// move is one thing that can happen in a world.
type move struct {
	name string
	do   func(w *world) Event // nil: the box does not see it
}

// moves are all things that can happen, at most flights messages being under way.
func (w *world) moves(flights int, otherBoxes bool) []move {
	var all []move
	add := func(name string, do func(w *world) Event) { all = append(all, move{name, do}) }
	for i, who := range people {
		tap := Tapped{Reader: doors[0], Clinician: who, Terms: allTerms, Candidates: labels}
		add("tap "+string(who), func(w *world) Event { return tap.at(w.now) })
		for _, phone := range labels {
			at := tap
			at.Presented, at.Candidates = phone, []gateway.PhoneID{phone}
			for _, other := range labels {
				if other != phone {
					at.Candidates = append(at.Candidates, other)
				}
			}
			at.Reader = doors[1]
			add(fmt.Sprintf("tap %s at %s", who, phone), func(w *world) Event { return at.at(w.now) })
		}
		over := tap
		over.TakeOver = labels[i]
		add(fmt.Sprintf("tap %s takes over %s", who, labels[i]), func(w *world) Event { return over.at(w.now) })
	}
	add("bar ben", func(w *world) Event { return Barred{At: w.now, Clinicians: people[1:]} })
	add("nothing can be written", func(w *world) Event { return Exhausted{At: w.now} })
	add("restart", func(w *world) Event { return Restarted{At: w.now, SameBoot: true} })
	for i, id := range labels {
		p, h := w.box.Phones[i], w.phones[i]
		if p.Linked {
			add("unlink "+string(id), func(w *world) Event { return Gone{w.now, id} })
		}
		add("link "+string(id), func(w *world) Event { return Seen{w.now, id, w.phones[i].truth()} })
		add("order release "+string(id), func(w *world) Event { return Ordered{w.now, id, "op"} })
		if i == 0 { // one is enough: phones are alike, and every move makes the tree wider
			add("withdraw "+string(id), func(w *world) Event { return Withdrawn{w.now, id, gateway.RevokedPhone} })
		}
		add("pick up "+string(id), func(w *world) Event { return PickedUp{w.now, id} })
		add("dock "+string(id), func(w *world) Event { return Docked{w.now, id} })
		for _, timer := range Timers {
			if due := p.Due.At(timer); !due.IsZero() {
				add(fmt.Sprintf("%s of %s is due", timer, id), func(w *world) Event { return Deadline{due, id, timer} })
			}
		}
		if !h.digest.IsZero() && !h.locked {
			add("phone locks itself "+string(id), func(w *world) Event {
				w.phones[i].locked = true
				r := gateway.Receipt{Kind: gateway.Locked, Phone: id, Truth: w.phones[i].truth(), Reason: gateway.IdleLock}
				return w.dispatch(flights, message{phone: i, receipt: r})
			})
		}
		if h.left {
			add("somebody wipes "+string(id), func(w *world) Event { w.phones[i].left = false; return nil })
		}
		if otherBoxes && h.digest.IsZero() && !h.left {
			add("other box binds "+string(id), func(w *world) Event {
				h := &w.phones[i]
				h.fence++
				h.grant = gateway.Grant{Box: otherBox, Phone: id, Fence: h.fence}
				h.digest, h.locked = h.grant.Digest(), false
				return nil
			})
		}
		if otherBoxes && h.grant.Box == otherBox {
			add("other box releases "+string(id), func(w *world) Event {
				w.phones[i] = handset{fence: h.fence + 1}
				return nil
			})
		}
	}
	for i, m := range w.flight {
		drop := func(w *world) { w.flight = slices.Delete(slices.Clone(w.flight), i, i+1) }
		add("lose "+m.String(), func(w *world) Event { drop(w); return nil })
		if m.command.Kind == gateway.NoCommand {
			add("deliver "+m.String(), func(w *world) Event { drop(w); return Answered{w.now, m.receipt} })
			add("deliver a copy of "+m.String(), func(w *world) Event { return Answered{w.now, m.receipt} })
			continue
		}
		for _, clears := range []bool{true, false} {
			if !clears && m.command.Kind != gateway.Release {
				continue
			}
			verb := map[bool]string{true: "deliver ", false: "deliver, clear fails, "}[clears]
			if clears {
				add("deliver a copy of "+m.String(), func(w *world) Event {
					return w.dispatch(flights, message{phone: m.phone, receipt: w.phones[m.phone].obey(m.command, true)})
				})
				add("deliver, device fails, "+m.String(), func(w *world) Event {
					drop(w)
					return w.dispatch(flights, message{phone: m.phone, receipt: w.phones[m.phone].obeyAndFail(m.command)})
				})
			}
			add(verb+m.String(), func(w *world) Event {
				drop(w)
				return w.dispatch(flights, message{phone: m.phone, receipt: w.phones[m.phone].obey(m.command, clears)})
			})
		}
	}
	return all
}

func (e Tapped) at(now time.Time) Tapped { e.At = now; return e }

// dispatch puts a receipt on its way; where the air is full it is lost.
func (w *world) dispatch(flights int, m message) Event {
	if len(w.flight) < flights {
		w.flight = append(slices.Clone(w.flight), m)
	}
	return nil
}

// obey is the protocol's compare-and-set, from its document.
func (h *handset) obey(c gateway.Command, clears bool) gateway.Receipt {
	r := gateway.Receipt{Kind: gateway.Declined, Phone: c.Phone, Next: c.Next}
	ok := c.Expect == h.fence && c.Next == h.fence+1
	switch c.Kind {
	case gateway.Bind:
		ok = ok && h.digest.IsZero() && !h.left && c.Grant.Fence == c.Next
	case gateway.Renew, gateway.Lock:
		ok = ok && !h.digest.IsZero() && c.Grant.Digest() == h.digest
	}
	if ok {
		h.fence = c.Next
		switch c.Kind {
		case gateway.Bind:
			h.grant, h.digest, h.locked = c.Grant, c.Grant.Digest(), false
			r.Kind = gateway.Bound
		case gateway.Renew:
			h.locked = h.locked && !c.Unlock
			r.Kind = gateway.Renewed
		case gateway.Lock:
			h.locked = true
			r.Kind = gateway.Locked
		case gateway.Release:
			*h = handset{fence: h.fence, left: !clears}
			r.Kind = gateway.Cleared
			if !clears {
				r.Kind = gateway.ClearFailed
			}
		}
	}
	r.Truth = h.truth()
	return r
}

// obeyAndFail takes the command, its fence included, and then the device does not do it: a bind leaves nothing open, a
// release leaves the session or what is left of it.
func (h *handset) obeyAndFail(c gateway.Command) gateway.Receipt {
	before := *h
	r := h.obey(c, true)
	if r.Kind == gateway.Declined {
		return r
	}
	fence := h.fence
	*h = before
	h.fence = fence
	r.Kind, r.Truth, r.Reason = gateway.Declined, h.truth(), gateway.DeviceFailed
	return r
}

// play makes one move. It returns what the box did about it, after checking that the invariants hold.
func (w *world) play(m move, flights int) ([]Effect, error) {
	w.now = w.now.Add(time.Millisecond)
	e := m.do(w)
	if e == nil {
		return nil, w.agree()
	}
	before := w.box
	var effects []Effect
	w.box, effects = Step(before, e)
	for _, eff := range effects {
		if s, ok := eff.(Send); ok && len(w.flight) < flights && !w.reachable(s.Command) {
			w.flight = append(slices.Clone(w.flight), message{phone: slices.Index(labels, s.Phone), command: s.Command})
		}
	}
	if err := w.justified(before, e, effects); err != nil {
		return effects, err
	}
	return effects, w.agree()
}

// reachable says that a command is already under way: the link sends it again under the same id.
func (w *world) reachable(c gateway.Command) bool {
	return slices.ContainsFunc(w.flight, func(m message) bool { return m.command == c })
}

func (m message) String() string {
	if m.command.Kind != gateway.NoCommand {
		return fmt.Sprintf("%s %d to %s", m.command.Kind, m.command.Next, m.command.Phone)
	}
	return fmt.Sprintf("%s %d from %s", m.receipt.Kind, m.receipt.Next, m.receipt.Phone)
}

// fingerprint stands for a world among all that were seen.
type fingerprint [sha256.Size]byte

// key is everything that can matter for what happens next, without the times themselves.
func (w *world) key() fingerprint {
	b := make([]byte, 0, 1<<10)
	num := func(n uint64) { b = binary.AppendUvarint(b, n) }
	flag := func(f ...bool) {
		var n uint64
		for i, f := range f {
			if f {
				n |= 1 << i
			}
		}
		num(n)
	}
	word := func(s string) { num(uint64(len(s))); b = append(b, s...) }
	grant := func(g gateway.Grant) { word(string(g.Box)); num(uint64(g.Fence)); num(uint64(g.Custody)) }
	num(uint64(w.box.Custody))
	for i, p := range w.box.Phones {
		num(uint64(p.Phase))
		num(uint64(p.Fence))
		num(uint64(p.Await))
		num(uint64(p.Next))
		word(string(p.Owner))
		word(string(p.By))
		word(string(p.Reason))
		num(uint64(p.Custody))
		grant(p.Grant)
		flag(p.Linked, p.Locked, p.PickedUp, p.Over, p.For != nil, w.opened[i])
		for _, t := range Timers {
			flag(!p.Due.At(t).IsZero())
		}
		if p.For != nil {
			word(string(p.For.Clinician))
			word(string(p.For.Previous))
			num(uint64(p.For.Custody))
			num(uint64(len(p.For.Candidates)))
		}
		h := w.phones[i]
		num(uint64(h.fence))
		grant(h.grant)
		flag(h.locked, h.left)
	}
	for _, m := range w.flight {
		num(uint64(m.phone))
		num(uint64(m.command.Kind))
		num(uint64(m.command.Next))
		grant(m.command.Grant)
		flag(m.command.Unlock, m.receipt.Truth.Locked, m.receipt.Truth.Grant.IsZero())
		num(uint64(m.receipt.Kind))
		num(uint64(m.receipt.Next))
		num(uint64(m.receipt.Truth.Fence))
		word(string(m.receipt.Truth.Box))
		num(uint64(m.receipt.Truth.Grant[0]))
		flag(m.receipt.Reason == gateway.DeviceFailed)
	}
	return sha256.Sum256(b)
}

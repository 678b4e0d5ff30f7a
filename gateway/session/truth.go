package session

import "tapward/gateway"

// seen compares what a phone says, signed, on a new link with what this box believes, and mends the difference. The
// phone is the truth about the phone; the box decides what follows from it.
func (t *turn) seen(id gateway.PhoneID, truth gateway.Truth) {
	p := t.phone(id)
	if p == nil {
		return
	}
	if truth.Fence == gateway.LastFence {
		t.record(gateway.PhoneInconsistent, p, gateway.FenceSpent)
		t.gone(id)
		return
	}
	p.Linked = true
	if truth.Fence < p.Fence {
		t.record(gateway.PhoneInconsistent, p, gateway.FenceWentBack)
	}
	if t.elsewhere(truth) {
		t.foreign(p, truth.Fence)
		return
	}
	switch p.Phase {
	case Free:
		t.seenFree(p, truth)
	case Foreign:
		p.vacate(Free)
		p.adopt(truth)
		t.end(p, gateway.ForeignSession)
	case Binding:
		t.seenBinding(p, truth)
	case Bound:
		t.seenBound(p, truth)
	case Releasing:
		p.adopt(truth)
		t.order(p, gateway.Command{Kind: gateway.Release})
	case Quarantined:
		t.seenQuarantined(p, truth)
	}
}

// seenQuarantined asks for the proof. A newly paired phone that has never taken a command has nothing to clear.
func (t *turn) seenQuarantined(p *Phone, truth gateway.Truth) {
	p.adopt(truth)
	if p.Reason == gateway.NewlyPaired && truth == (gateway.Truth{}) {
		t.record(gateway.PhoneFreed, p, gateway.NewlyPaired)
		p.vacate(Free)
		return
	}
	t.ask(p)
}

// adopt takes the phone's fence for the truth; no command is awaited any more, whatever became of it.
func (p *Phone) adopt(truth gateway.Truth) {
	p.Fence, p.Await = truth.Fence, gateway.NoCommand
}

// elsewhere says that the phone holds another box's grant.
func (t *turn) elsewhere(truth gateway.Truth) bool {
	return !truth.Grant.IsZero() && truth.Box != t.Box
}

// seenFree takes a free phone as free only when it says so with a fence that has not gone back.
func (t *turn) seenFree(p *Phone, truth gateway.Truth) {
	back := truth.Fence < p.Fence
	p.adopt(truth)
	switch {
	case !truth.Grant.IsZero():
		t.record(gateway.PhoneInconsistent, p, gateway.Stray)
		t.end(p, gateway.Stray)
	case back:
		t.end(p, gateway.FenceWentBack)
	}
}

// seenBinding settles a bind whose answer the old link took with it: it happened, or it is sent again, or the phone is
// somewhere else altogether.
func (t *turn) seenBinding(p *Phone, truth gateway.Truth) {
	switch {
	case truth.Grant == p.Grant.Digest():
		t.confirm(p, truth.Fence, "")
		t.adoptLock(p, truth.Locked)
	case truth.Grant.IsZero() && truth.Fence == p.Fence:
		p.adopt(truth)
		t.order(p, gateway.Command{Kind: gateway.Bind})
	default:
		p.adopt(truth)
		t.bindFailed(p, gateway.Stray, "")
	}
}

// seenBound goes on with a session that the phone still has; the lease is renewed at once.
func (t *turn) seenBound(p *Phone, truth gateway.Truth) {
	p.adopt(truth)
	p.Due.Answer = Due{}.Answer
	if truth.Grant != p.Grant.Digest() {
		t.stray(p)
		return
	}
	t.adoptLock(p, truth.Locked)
	switch {
	case p.Locked:
	case p.Over:
		t.lockNow(p)
	default:
		t.renew(p, false)
	}
}

// adoptLock takes over the phone's word whether it is locked.
func (t *turn) adoptLock(p *Phone, locked bool) {
	switch {
	case locked && !p.Locked:
		t.lock(p, gateway.PhoneLocked, "")
	case !locked && p.Locked:
		t.unlocked(p, "")
	}
}

// stray ends a session about which phone and box disagree: what the phone has is not what was confirmed.
func (t *turn) stray(p *Phone) {
	t.record(gateway.PhoneInconsistent, p, gateway.Stray)
	t.end(p, gateway.Stray)
}

// gone is the end of a link. A session goes on by its lease; a bind that waits for its answer does not.
func (t *turn) gone(id gateway.PhoneID) {
	p := t.phone(id)
	if p == nil || !p.Linked {
		return
	}
	p.Linked = false
	switch p.Phase {
	case Binding:
		t.bindFailed(p, gateway.PhoneGone, "")
	case Bound: // whoever tapped to resume walks on; what became of it, the next hello tells
		t.tell(gateway.Feedback{Reader: p.By, Signal: gateway.Refused, Reason: gateway.PhoneGone, Phone: p.ID, Who: p.Owner})
		p.By = ""
	}
}

// pickedUp is the first use of a session, in its dock or out of it.
func (t *turn) pickedUp(id gateway.PhoneID) {
	p := t.phone(id)
	if p == nil || p.Phase != Bound || p.PickedUp {
		return
	}
	p.PickedUp = true
	p.Due.Pickup = Due{}.Pickup
	t.record(gateway.SessionUsed, p).Durations.FirstUse = t.at.Sub(p.Since)
}

// docked returns a phone that came into a dock, also one that was bound in somebody's hand and never used.
func (t *turn) docked(id gateway.PhoneID) {
	if p := t.phone(id); p != nil && p.Phase == Bound {
		t.end(p, gateway.ReturnedDock)
	}
}

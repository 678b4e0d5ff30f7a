package session

import "tapward/gateway"

// answered takes a receipt for the one command that is awaited. Anything else is of a command whose fence is dead, and
// is ignored; only a phone's own lock comes unasked.
func (t *turn) answered(r gateway.Receipt) {
	p := t.phone(r.Phone)
	if p == nil {
		return
	}
	if r.Kind == gateway.Locked && r.Next == 0 {
		t.lockedItself(p, r)
		return
	}
	if p.Await == gateway.NoCommand || r.Next != p.Next || r.Truth.Fence == gateway.LastFence {
		return
	}
	switch r.Kind {
	case gateway.Declined:
		t.declined(p, r)
	case gateway.Bound:
		if p.Await == gateway.Bind && p.Phase == Binding && r.Truth.Grant == p.Grant.Digest() {
			t.confirm(p, p.Next, r.Signed)
		}
	case gateway.Renewed:
		if p.Await == gateway.Renew && p.Phase == Bound {
			t.renewed(p, r)
		}
	case gateway.Locked:
		if p.Await == gateway.Lock && p.Phase == Bound {
			p.obeyed()
			t.lock(p, gateway.LimitReached, r.Signed)
		}
	case gateway.Cleared:
		if p.Await == gateway.Release && r.Truth.Grant.IsZero() {
			t.settle(p, r.Signed)
		}
	case gateway.ClearFailed:
		if p.Await == gateway.Release {
			p.obeyed()
			t.record(gateway.ClearFailure, p, gateway.PhoneNotCleared).Receipt = r.Signed
			t.quarantine(p, gateway.PhoneNotCleared)
		}
	}
}

// obeyed adopts the fence of the awaited command.
func (p *Phone) obeyed() {
	p.Fence, p.Await = p.Next, gateway.NoCommand
	p.Due.Answer = Due{}.Answer
}

func (t *turn) renewed(p *Phone, r gateway.Receipt) {
	p.obeyed()
	if !r.Truth.Locked && (p.Locked || p.By != "") {
		t.unlocked(p, r.Signed)
		return
	}
	t.adoptLock(p, r.Truth.Locked)
	if !p.Locked {
		t.lease(p)
	}
	t.record(gateway.SessionRenewed, p).Receipt = r.Signed
}

// unlocked is the phone's word that the session is open again. Whoever tapped for it, if they still wait, is told.
func (t *turn) unlocked(p *Phone, receipt string) {
	p.Locked, p.Reason = false, gateway.Resumed
	t.lease(p)
	t.record(gateway.SessionResumed, p, gateway.Resumed).Receipt = receipt
	t.tell(gateway.Feedback{Reader: p.By, Signal: gateway.Granted, Reason: gateway.Resumed, Phone: p.ID, Who: p.Owner})
	p.By = ""
}

// lockedItself is the phone's unasked word: idle, out of lease, past its limit, or restarted.
func (t *turn) lockedItself(p *Phone, r gateway.Receipt) {
	if p.Phase == Bound && !p.Locked && r.Truth.Grant == p.Grant.Digest() {
		t.lock(p, r.Reason, r.Signed)
	}
}

// lock keeps custody.
func (t *turn) lock(p *Phone, reason gateway.Reason, receipt string) {
	p.Locked, p.Reason = true, reason
	p.Over = p.Over || reason == gateway.LimitReached
	p.Due.Renew, p.Due.Lease = Due{}.Renew, Due{}.Lease
	t.record(gateway.SessionLocked, p, reason).Receipt = receipt
}

// declined is the phone's signed "no", with where it stands: the command did not happen and will not, its fence being
// dead or, where the phone took it and then could not do it, spent. A release that merely met another fence is aimed
// again, while its time lasts.
func (t *turn) declined(p *Phone, r gateway.Receipt) {
	truth := r.Truth
	if t.elsewhere(truth) {
		t.foreign(p, truth.Fence)
		return
	}
	missed := truth.Fence+1 != p.Next && r.Reason != gateway.DeviceFailed && r.Reason != gateway.PhoneNotCleared
	was := p.Await
	p.adopt(truth)
	switch {
	case p.Phase == Binding && truth.Grant == p.Grant.Digest():
		t.confirm(p, truth.Fence, r.Signed) // it had happened: what was declined is the bind's own echo
		t.adoptLock(p, truth.Locked)
	case p.Phase == Binding:
		t.bindFailed(p, gateway.PhoneDeclined, r.Signed)
	case was == gateway.Release && !p.Linked: // the next hello goes on
	case was == gateway.Release && missed:
		t.order(p, gateway.Command{Kind: gateway.Release})
	case was == gateway.Release && p.Phase == Releasing:
		t.quarantine(p, gateway.PhoneDeclined)
	case p.Phase == Bound && truth.Grant == p.Grant.Digest():
		p.Due.Answer = Due{}.Answer
		t.adoptLock(p, truth.Locked)
		t.tell(gateway.Feedback{Reader: p.By, Signal: gateway.Refused, Reason: gateway.PhoneDeclined, Phone: p.ID, Who: p.Owner})
		p.By = ""
	case p.Phase == Bound:
		t.stray(p)
	}
}

package session

import "tapward/gateway"

// deadline acts on a timer that is due; one that is not armed, or not yet due, changes nothing.
func (t *turn) deadline(id gateway.PhoneID, timer Timer) {
	p := t.phone(id)
	if p == nil || p.Due.At(timer).IsZero() || t.at.Before(p.Due.At(timer)) {
		return
	}
	p.Due.disarm(timer)
	switch timer {
	case AnswerTimer:
		t.unanswered(p)
	case PickupTimer:
		t.end(p, gateway.NotPickedUp)
	case RenewTimer:
		t.renewDue(p)
	case LeaseTimer:
		t.lock(p, gateway.LeaseEnded, "")
	case LimitTimer:
		t.limit(p)
	case ReturnTimer: // the window has passed
	}
}

// unanswered is a command without a receipt. What it did is not known.
func (t *turn) unanswered(p *Phone) {
	reason := gateway.PhoneSilent
	if !p.Linked {
		reason = gateway.PhoneGone
	}
	switch p.Phase {
	case Binding:
		t.bindFailed(p, reason, "")
	case Releasing:
		t.quarantine(p, reason)
	case Quarantined:
		t.ask(p)
	case Bound:
		t.tell(gateway.Feedback{Reader: p.By, Signal: gateway.Refused, Reason: reason, Phone: p.ID, Who: p.Owner})
		p.By = ""
	}
}

// ask gives a phone in quarantine another chance to prove that it is clear, unless it has said that it is not.
func (t *turn) ask(p *Phone) {
	if p.Reason == gateway.PhoneNotCleared {
		return
	}
	p.Due.Answer = t.at.Add(retry)
	if p.Linked {
		t.order(p, gateway.Command{Kind: gateway.Release})
	}
}

// renewDue asks again and again at an eighth of the lease; without a link the next hello renews at once.
func (t *turn) renewDue(p *Phone) {
	if p.Linked && !p.Locked {
		t.renew(p, false)
	}
}

// limit ends the session's unlocked life; custody stays, and the holder's next tap opens a new session.
func (t *turn) limit(p *Phone) {
	p.Over = true
	p.Due.Renew = Due{}.Renew
	if p.Locked {
		return
	}
	p.Due.Lease = t.at.Add(p.Terms.Drift)
	if p.Linked {
		t.lockNow(p)
	}
}

func (t *turn) lockNow(p *Phone) {
	p.Reason = gateway.LimitReached
	p.Due.Answer = t.at.Add(p.Terms.Bind)
	t.order(p, gateway.Command{Kind: gateway.Lock})
}

func (d *Due) disarm(t Timer) {
	switch t {
	case AnswerTimer:
		d.Answer = Due{}.Answer
	case PickupTimer:
		d.Pickup = Due{}.Pickup
	case RenewTimer:
		d.Renew = Due{}.Renew
	case LeaseTimer:
		d.Lease = Due{}.Lease
	case LimitTimer:
		d.Limit = Due{}.Limit
	case ReturnTimer:
		d.Return = Due{}.Return
	}
}

package session

import (
	"slices"
	"time"

	"tapward/gateway"
)

// This file is what comes from outside the passage of a phone: people barred, an operator's orders, phones added and
// removed, and the box's own restart.

// barred ends the sessions of people who may no longer act, and drops what they wait for.
func (t *turn) barred(who []gateway.ClinicianID) {
	for i := range t.Phones {
		p := &t.Phones[i]
		if p.For != nil && slices.Contains(who, p.For.Clinician) {
			t.fail(p.For, gateway.Barred)
			p.leave()
		}
		if (p.Phase == Bound || p.Phase == Binding) && slices.Contains(who, p.Owner) {
			t.end(p, gateway.Barred)
		}
	}
}

// ordered releases a phone whatever it shows. Another ward's session is not ours to end.
func (t *turn) ordered(id gateway.PhoneID, operator string) {
	p := t.phone(id)
	if p == nil || p.Phase == Foreign {
		return
	}
	if req := p.For; req != nil && p.Phase == Binding {
		t.fail(req, gateway.ByOperator)
		p.leave()
	}
	next := p.For
	t.end(p, gateway.ByOperator).Operator = operator
	p.For = next
}

// exhausted refuses whoever waits, and takes back the binds that are under way.
func (t *turn) exhausted() {
	for i := range t.Phones {
		p := &t.Phones[i]
		if p.For == nil {
			continue
		}
		t.fail(p.For, gateway.StorageExhausted)
		p.leave()
		if p.Phase == Binding {
			t.end(p, gateway.StorageExhausted)
		}
	}
}

// added makes a phone known. Nobody gets it before it has shown that it is clear, whatever was known about it when it
// was removed: so pairing a phone anew is no way out of quarantine.
func (t *turn) added(id gateway.PhoneID) {
	i, ok := slices.BinarySearchFunc(t.Phones, id, func(p Phone, id gateway.PhoneID) int { return cmpID(p.ID, id) })
	if !ok {
		t.Phones = slices.Insert(t.Phones, i, Phone{ID: id, Phase: Quarantined, Reason: gateway.NewlyPaired})
	}
}

// CanRemove says that a phone may be forgotten: nobody has it and nobody waits for it.
func (s State) CanRemove(id gateway.PhoneID) bool {
	p, ok := s.Phone(id)
	return ok && (p.Phase == Free || p.Phase == Quarantined || p.Phase == Foreign)
}

func (t *turn) removed(id gateway.PhoneID) {
	if t.CanRemove(id) {
		t.Phones = slices.DeleteFunc(t.Phones, func(p Phone) bool { return p.ID == id })
	}
}

// restarted goes on from what was stored. No link stands and nobody waits any more; what was under way is released;
// sessions stay, and their deadlines are never further away than when they were set.
func (t *turn) restarted(sameBoot bool) {
	for i := range t.Phones {
		p := &t.Phones[i]
		p.Linked, p.For, p.By, p.Await = false, nil, "", gateway.NoCommand
		switch p.Phase {
		case Binding:
			t.record(gateway.BindFailed, p, gateway.BoxRestarted)
			t.lost(p)
			t.release(p, gateway.BoxRestarted, nil)
		case Releasing:
			if p.Custody != p.Grant.Custody {
				t.lost(p)
				p.leave()
				p.Reason = gateway.BoxRestarted
			}
			p.Due = Due{Answer: t.at.Add(p.releaseWait())}
		case Bound:
			p.Due = t.resumed(p, sameBoot)
		default:
			p.Due = Due{}
		}
	}
}

// lost ends the custody of somebody of whom only the request's record still knows who it was.
func (t *turn) lost(p *Phone) {
	t.note(gateway.Record{
		Kind: gateway.CustodyFailed, At: t.at, Phone: p.ID, Fence: p.Fence, Custody: p.Custody, Policy: p.Grant.Policy,
		Reasons: []gateway.Reason{gateway.BoxRestarted},
	})
}

// resumed is a session's deadlines after a restart. On the same boot they stand; after another, nobody knows how long
// the box was off, so each starts over, which is the latest that can be true.
func (t *turn) resumed(p *Phone, sameBoot bool) Due {
	within := func(due time.Time, whole time.Duration) time.Time {
		latest := t.at.Add(whole)
		switch {
		case due.IsZero():
			return due
		case !sameBoot || due.After(latest):
			return latest
		}
		return due
	}
	return Due{
		Pickup: within(p.Due.Pickup, p.Terms.Pickup),
		Renew:  within(p.Due.Renew, p.Terms.Lease/2),
		Lease:  within(p.Due.Lease, p.Terms.Lease+p.Terms.Drift),
		Limit:  within(p.Due.Limit, p.Terms.Limit),
	}
}

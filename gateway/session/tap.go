package session

import (
	"slices"

	"tapward/gateway"
)

// denied writes down and tells a refusal that was made before any phone was thought of.
func (t *turn) denied(e Denied) {
	t.note(gateway.Record{
		Kind: gateway.TapRefused, At: e.At, Reader: e.Reader, Origin: e.Origin, Clinician: e.Clinician,
		Assurance: e.Assurance, Policy: e.Policy, Reasons: []gateway.Reason{e.Reason}, Durations: e.Durations,
	})
	t.tell(gateway.Feedback{Reader: e.Reader, Signal: gateway.Refused, Reason: e.Reason, Who: e.Clinician})
}

// tapped is a permitted tap. Whoever has a phone is told so and never signed out by it; who taps at a phone that is in
// use is given that phone, closed and cleared first; everyone else gets the best of those that can be given.
func (t *turn) tapped(e Tapped) {
	if held, ok := t.Held(e.Clinician); ok {
		t.tappedHolding(e, t.phone(held.ID))
		return
	}
	target, why := e.Presented, gateway.HandOff
	if e.TakeOver != "" {
		target, why = e.TakeOver, gateway.TakenOver
	}
	if p := t.phone(target); p != nil {
		switch {
		case p.Phase == Bound:
			t.handOff(e, p, why)
			return
		case p.Phase == Releasing && p.For == nil:
			t.waitFor(e, p)
			return
		case p.Phase == Binding || p.Phase == Releasing:
			t.refuse(e, gateway.PhoneBusy, p.ID)
			return
		}
	}
	t.checkOut(e)
}

// checkOut gives the first candidate that is free and linked. Who has another phone before their eyes is told that it is
// not that one.
func (t *turn) checkOut(e Tapped) {
	here := t.phone(e.Presented)
	i := slices.IndexFunc(e.Candidates, t.available)
	switch {
	case i < 0 && here != nil:
		t.refuse(e, gateway.PhoneUnfit, here.ID)
		return
	case i < 0:
		t.refuse(e, gateway.NoPhoneFree, "")
		return
	}
	why, chosen := gateway.CheckOut, e.Candidates[i]
	if here != nil && here.ID != chosen {
		why = gateway.OtherPhone
	}
	req := t.request(e, why)
	req.Candidates = e.Candidates[i+1:]
	t.requested(gateway.CheckOutRequested, e, req, chosen)
	t.tell(gateway.Feedback{Reader: e.Reader, Signal: gateway.Seen, Reason: why, Phone: chosen, Who: e.Clinician})
	t.bind(t.phone(chosen), req)
}

// waitFor queues the one who taps at a phone that is just being cleared.
func (t *turn) waitFor(e Tapped, p *Phone) {
	req := t.request(e, gateway.CheckOut)
	req.Candidates = e.Candidates
	t.requested(gateway.CheckOutRequested, e, req, p.ID)
	t.tell(gateway.Feedback{Reader: e.Reader, Signal: gateway.Seen, Reason: gateway.PhoneComing, Phone: p.ID, Who: e.Clinician})
	p.For = req
}

// handOff closes the holder's session first; the new one opens when the phone has confirmed that it is clear.
func (t *turn) handOff(e Tapped, p *Phone, why gateway.Reason) {
	req := t.request(e, why)
	req.Previous, req.Candidates = p.Owner, e.Candidates
	t.requested(gateway.HandOffRequested, e, req, p.ID)
	t.tell(gateway.Feedback{Reader: e.Reader, Signal: gateway.Seen, Reason: why, Phone: p.ID, Who: e.Clinician})
	p.Custody = req.Custody
	t.release(p, why, req)
}

// tappedHolding answers the clinician who has a phone, or is about to. Only a phone that is presented, and only the
// second tap in its window, is returned.
func (t *turn) tappedHolding(e Tapped, p *Phone) {
	presented := e.Presented == p.ID
	switch {
	case p.Phase != Bound:
		t.holding(e, gateway.PhoneComing, p)
	case presented && !p.Due.Return.IsZero() && !e.At.After(p.Due.Return):
		t.about(e, gateway.ReleaseRequested, p, gateway.ReturnedTap)
		t.tell(gateway.Feedback{Reader: e.Reader, Signal: gateway.Seen, Reason: gateway.ReturnedTap, Phone: p.ID, Who: e.Clinician})
		t.release(p, gateway.ReturnedTap, nil)
		p.By = e.Reader
	case p.Over:
		req := t.request(e, gateway.LimitReached)
		req.Candidates = e.Candidates
		t.requested(gateway.CheckOutRequested, e, req, p.ID)
		t.tell(gateway.Feedback{Reader: e.Reader, Signal: gateway.Seen, Reason: gateway.LimitReached, Phone: p.ID, Who: e.Clinician})
		p.Custody = req.Custody
		t.release(p, gateway.LimitReached, req)
	case p.Locked && p.Linked:
		p.By = e.Reader
		p.armReturn(e)
		t.renew(p, true)
	case presented:
		p.armReturn(e)
		t.holding(e, gateway.TapToReturn, p)
	default:
		t.holding(e, gateway.HoldsPhone, p)
	}
}

func (p *Phone) armReturn(e Tapped) {
	if e.Presented == p.ID {
		p.Due.Return = e.At.Add(p.Terms.Return)
	}
}

// holding says which phone it is, and that nothing changed.
func (t *turn) holding(e Tapped, reason gateway.Reason, p *Phone) {
	t.about(e, gateway.TapNoted, p, reason)
	t.tell(gateway.Feedback{Reader: e.Reader, Signal: gateway.Note, Reason: reason, Phone: p.ID, Who: e.Clinician})
}

// refuse ends a permitted tap for which there is no phone.
func (t *turn) refuse(e Tapped, reason gateway.Reason, phone gateway.PhoneID) {
	t.about(e, gateway.TapRefused, &Phone{ID: phone}, reason)
	t.tell(gateway.Feedback{Reader: e.Reader, Signal: gateway.Refused, Reason: reason, Phone: phone, Who: e.Clinician})
}

// about writes down what came of a tap without a custody of its own.
func (t *turn) about(e Tapped, kind gateway.RecordKind, p *Phone, reason gateway.Reason) {
	t.note(gateway.Record{
		Kind: kind, At: e.At, Reader: e.Reader, Origin: e.Origin, Phone: p.ID, Fence: p.Fence, Custody: p.Custody,
		Clinician: e.Clinician, Assurance: e.Assurance, Policy: e.Policy, Reasons: []gateway.Reason{reason},
		Durations: e.Durations,
	})
}

// request gives a tap its custody.
func (t *turn) request(e Tapped, why gateway.Reason) *Request {
	t.Custody++
	return &Request{
		Clinician: e.Clinician, Reader: e.Reader, Origin: e.Origin, Assurance: e.Assurance, Terms: e.Terms,
		Policy: e.Policy, Custody: t.Custody, Why: why,
	}
}

// requested writes down the permit: no phone is bound without one.
func (t *turn) requested(kind gateway.RecordKind, e Tapped, req *Request, phone gateway.PhoneID) {
	t.note(gateway.Record{
		Kind: kind, At: e.At, Reader: e.Reader, Origin: e.Origin, Phone: phone, Fence: t.phone(phone).Fence,
		Custody: req.Custody, Clinician: req.Clinician, Previous: req.Previous, Assurance: e.Assurance,
		Policy: e.Policy, Reasons: []gateway.Reason{req.Why}, Durations: e.Durations,
	})
}

func (t *turn) available(id gateway.PhoneID) bool {
	p := t.phone(id)
	return p != nil && p.Phase == Free && p.Linked && p.Fence < gateway.LastFence
}

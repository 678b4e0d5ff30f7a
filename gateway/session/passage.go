package session

import (
	"slices"
	"time"

	"tapward/gateway"
)

// This file is a phone's passage: bind, confirm, release, settle; and what becomes of the one who waits when it fails.

// bind opens a session on a phone that is free. The phone's answer is awaited for the terms' Bind.
func (t *turn) bind(p *Phone, req *Request) {
	terms := req.Terms[p.ID]
	p.Phase, p.Owner, p.Custody, p.Terms, p.For, p.Since = Binding, req.Clinician, req.Custody, terms, req, t.at
	p.Reason = req.Why
	p.Grant = gateway.Grant{
		Box: t.Box, Phone: p.ID, Fence: p.Fence + 1, Custody: req.Custody, Clinician: req.Clinician, Policy: req.Policy,
		Lease: seconds(terms.Lease), Idle: seconds(terms.Idle), Limit: seconds(terms.Limit),
	}
	p.Due = Due{Answer: t.at.Add(terms.Bind)}
	t.order(p, gateway.Command{Kind: gateway.Bind})
}

// confirm is the phone's word that the session is open: only now is the clinician told so.
func (t *turn) confirm(p *Phone, fence gateway.Fence, receipt string) {
	req := p.For
	p.Phase, p.For, p.Await, p.Fence, p.Since = Bound, nil, gateway.NoCommand, fence, t.at
	p.Due = Due{Pickup: t.at.Add(p.Terms.Pickup), Limit: t.at.Add(p.Terms.Limit)}
	t.lease(p)
	r := t.record(gateway.SessionOpened, p, p.Reason)
	r.Reader, r.Origin, r.Assurance, r.Receipt = req.Reader, req.Origin, req.Assurance, receipt
	if p.Reason != gateway.OtherPhone {
		r.Previous = req.Previous
	}
	t.tell(gateway.Feedback{Reader: req.Reader, Signal: gateway.Granted, Reason: p.Reason, Phone: p.ID, Who: req.Clinician})
}

// lease counts a lease from its confirmation, plus the drift margin, never past the limit.
func (t *turn) lease(p *Phone) {
	p.Due.Renew = t.at.Add(p.Terms.Lease / 2)
	p.Due.Lease = t.at.Add(p.Terms.Lease + p.Terms.Drift)
	if limit := p.Due.Limit; !limit.IsZero() && limit.Add(p.Terms.Drift).Before(p.Due.Lease) {
		p.Due.Lease = limit.Add(p.Terms.Drift)
	}
}

// renew asks for a new lease, and for the screen where the holder tapped.
func (t *turn) renew(p *Phone, unlock bool) {
	p.Due.Answer = t.at.Add(p.Terms.Bind)
	p.Due.Renew = t.at.Add(p.Terms.Lease / 8)
	t.order(p, gateway.Command{Kind: gateway.Renew, Unlock: unlock})
}

// release closes what the phone shows or may show. It is nobody's until the phone has confirmed; next, if any, waits
// for it.
func (t *turn) release(p *Phone, reason gateway.Reason, next *Request) {
	p.Phase, p.Reason, p.For, p.By = Releasing, reason, next, ""
	p.Due = Due{Answer: t.at.Add(p.releaseWait())}
	if p.Linked {
		t.order(p, gateway.Command{Kind: gateway.Release})
	}
}

// unknownRelease is how long a release may take where no session here had terms.
const unknownRelease = 5 * time.Second

func (p *Phone) releaseWait() time.Duration {
	if p.Terms.Release > 0 {
		return p.Terms.Release
	}
	return unknownRelease
}

// end releases a session that nobody's tap ends, and writes down why.
func (t *turn) end(p *Phone, reason gateway.Reason) *gateway.Record {
	r := t.record(gateway.ReleaseRequested, p, reason)
	t.release(p, reason, nil)
	return r
}

// bindFailed takes back a bind that was not confirmed. It may have happened all the same, so the phone is released, and
// the one who waits is offered the next.
func (t *turn) bindFailed(p *Phone, reason gateway.Reason, receipt string) {
	req := p.For
	t.record(gateway.BindFailed, p, reason).Receipt = receipt
	t.release(p, reason, nil)
	t.offer(req, reason)
}

// settle is the phone's word that it is clear. Whoever waits for it is bound to it now.
func (t *turn) settle(p *Phone, receipt string) {
	t.record(gateway.SessionCleared, p, p.Reason).Receipt = receipt
	if p.Phase == Quarantined {
		t.record(gateway.PhoneFreed, p, p.Reason)
	}
	t.tell(gateway.Feedback{Reader: p.By, Signal: gateway.Granted, Reason: p.Reason, Phone: p.ID, Who: p.Owner})
	next, fence := p.For, p.Next
	p.vacate(Free)
	p.Fence = fence
	if next != nil && p.Linked {
		t.bind(p, next)
	} else {
		t.offer(next, gateway.PhoneGone)
	}
}

// retry is how often a phone in quarantine that merely did not answer is asked again.
const retry = 30 * time.Second

// quarantine sets aside a phone that is not proven clear. Whoever waits for it is offered the next. A phone that did
// not answer is asked again until it does; one that said it could not clear waits for an operator.
func (t *turn) quarantine(p *Phone, reason gateway.Reason) {
	req, by := p.For, p.By
	p.Phase, p.Reason, p.By, p.Due = Quarantined, reason, "", Due{}
	if reason != gateway.PhoneNotCleared {
		p.Due.Answer = t.at.Add(retry)
	}
	t.record(gateway.PhoneQuarantined, p, reason)
	p.leave()
	t.tell(gateway.Feedback{Reader: by, Signal: gateway.Fault, Reason: reason, Phone: p.ID, Who: p.Owner})
	t.offer(req, reason)
}

// foreign leaves alone a phone that shows another box's session; ours on it, if there was one, is over.
func (t *turn) foreign(p *Phone, fence gateway.Fence) {
	req := p.For
	if p.Phase != Foreign {
		t.record(gateway.PhoneForeign, p, gateway.ForeignSession)
	}
	p.vacate(Foreign)
	p.Fence = fence
	t.offer(req, gateway.ForeignSession)
}

// offer gives the one who waits the next candidate, or says why there is none.
func (t *turn) offer(req *Request, reason gateway.Reason) {
	if req == nil {
		return
	}
	i := slices.IndexFunc(req.Candidates, t.available)
	if i < 0 {
		t.fail(req, reason)
		return
	}
	next := *req
	next.Candidates = req.Candidates[i+1:]
	if req.Previous != "" {
		next.Why = gateway.OtherPhone // nobody's phone is handed on
	}
	t.bind(t.phone(req.Candidates[i]), &next)
}

// leave takes the one who waits away from p: what goes on there is of its own session's custody again. So a phone that is
// being cleared has another custody than its session's exactly while somebody waits for it.
func (p *Phone) leave() { p.For, p.Custody = nil, p.Grant.Custody }

// fail ends a custody without a phone.
func (t *turn) fail(req *Request, reason gateway.Reason) {
	t.note(gateway.Record{
		Kind: gateway.CustodyFailed, At: t.at, Reader: req.Reader, Origin: req.Origin, Custody: req.Custody,
		Clinician: req.Clinician, Previous: req.Previous, Assurance: req.Assurance, Policy: req.Policy,
		Reasons: []gateway.Reason{reason},
	})
	t.tell(gateway.Feedback{Reader: req.Reader, Signal: gateway.Refused, Reason: reason, Who: req.Clinician})
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

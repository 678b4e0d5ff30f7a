package handoff

import (
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/policy"
	"tapward/gateway/session"
)

// oldest is the age at which a tap is refused: whoever tapped has walked on.
const oldest = 2 * time.Second

// tap takes a badge from reader to step: identify, decide, choose.
func (e *Engine) tap(t gateway.Tap) {
	e.storageTurned(e.cfg.Journal.Storage())
	now := time.Now()
	who, known := e.policy.Identify(t.Credential)
	identified := time.Now()
	e.noteTap(t, who)

	place, placed := e.policy.Place(t.Reader)
	over, armed := e.disarm(t.Reader, now)
	if armed && !e.takes(who.ID, over.phone) { // an ordinary tap
		e.note(over.ended(t.Reader, takeOverCancelled))
		armed = false
	}
	ask := policy.Request{
		Clinician: who, Known: known, Assurance: t.Assurance, Reader: t.Reader, Ward: e.cfg.Ward, At: e.judged(now),
	}
	presented := e.presented(place)
	ask.Action = e.wants(who.ID, presented, armed, now)
	decision := e.policy.Decide(ask)
	decided := time.Now()

	d := gateway.Durations{Read: t.Read, Identify: identified.Sub(now), Decide: decided.Sub(identified)}
	deny := func(reason gateway.Reason) {
		if armed {
			e.note(over.ended(t.Reader, takeOverCancelled, reason))
		}
		e.step(session.Denied{
			At: t.At, Reader: t.Reader, Origin: t.Origin, Clinician: who.ID, Assurance: t.Assurance,
			Policy: e.policy.Digest(), Reason: reason, Durations: d,
		})
	}
	switch {
	case now.Sub(t.At) > oldest:
		deny(gateway.StaleTap)
		return
	case !decision.Permit:
		deny(decision.Reason)
		return
	case !placed:
		deny(gateway.UnknownReader)
		return
	case e.storage != gateway.StorageOK && e.opens(who.ID):
		deny(gateway.StorageLow)
		return
	}

	tapped := session.Tapped{
		At: now, Reader: t.Reader, Origin: t.Origin, Clinician: who.ID, Assurance: t.Assurance,
		Policy: e.policy.Digest(), Presented: presented,
	}
	if armed {
		tapped.TakeOver = over.phone
	}
	reason := e.choose(&tapped, ask, place)
	d.Choose = time.Since(decided)
	tapped.Durations = d
	if reason != "" {
		deny(reason)
		return
	}
	e.step(tapped)
}

// takes says that a person who holds no phone can take this one over: somebody still holds it.
func (e *Engine) takes(who gateway.ClinicianID, id gateway.PhoneID) bool {
	p, ok := e.state.Phone(id)
	_, holds := e.state.Held(who)
	return ok && p.Phase == session.Bound && !holds && !e.policy.RevokesPhone(id)
}

// opens says that a permitted tap of this person opens a new session: they hold none, or one past its limit.
func (e *Engine) opens(who gateway.ClinicianID) bool {
	held, ok := e.state.Held(who)
	return !ok || held.Over
}

// wants is what the tap asks for, as the policy distinguishes it. The own phone is returned where it is presented, unless
// this tap unlocks it or opens it anew.
func (e *Engine) wants(who gateway.ClinicianID, presented gateway.PhoneID, armed bool, now time.Time) policy.Action {
	if held, ok := e.state.Held(who); ok {
		returns := !held.Due.Return.IsZero() && !now.After(held.Due.Return)
		if held.ID == presented && (returns || !held.Locked && !held.Over) {
			return policy.CheckIn
		}
		return policy.CheckOut
	}
	if armed {
		return policy.TakeOver
	}
	if p, ok := e.state.Phone(presented); ok && p.Phase == session.Bound {
		return policy.HandOff
	}
	return policy.CheckOut
}

// choose fills in the phones that the tap may end at, with their terms. It returns a reason where policy permits none
// of them to this person.
func (e *Engine) choose(t *session.Tapped, ask policy.Request, place gateway.Place) gateway.Reason {
	t.Candidates = e.registry.Nearest(place, func(id gateway.PhoneID) bool {
		p, ok := e.state.Phone(id)
		return ok && p.Phase == session.Free && p.Linked && !e.policy.RevokesPhone(id)
	})
	t.Terms = map[gateway.PhoneID]gateway.Terms{}
	var refused gateway.Reason
	permit := func(id gateway.PhoneID, action policy.Action) bool {
		here, ok := e.registry.Phone(id)
		if !ok {
			return false
		}
		ask.Class, ask.Action = here.Phone.Class, action
		if d := e.policy.Decide(ask); !d.Permit {
			refused = d.Reason
			return false
		}
		t.Terms[id] = e.policy.Terms(here.Phone.Class)
		return true
	}
	action := ask.Action
	// A free phone is checked out, whatever was asked for: the rules of a hand-off may be looser.
	t.Candidates = slices.DeleteFunc(t.Candidates, func(id gateway.PhoneID) bool { return !permit(id, policy.CheckOut) })
	if held, ok := e.state.Held(t.Clinician); ok {
		if !permit(held.ID, action) {
			return refused
		}
		return ""
	}
	target := t.Presented
	if t.TakeOver != "" {
		target = t.TakeOver
	}
	if _, known := e.state.Phone(target); known && !permit(target, action) {
		return refused
	}
	if len(t.Candidates) == 0 && len(t.Terms) == 0 && refused != "" {
		return refused
	}
	return ""
}

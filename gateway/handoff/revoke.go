package handoff

import (
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/gateway/policy"
	"tapward/gateway/session"
)

// installRevocations puts a newer list into force. The list in force given again is no act at all.
func (e *Engine) installRevocations(operator string, a gateway.InstallRevocations) error {
	have, given := e.policy.Revocations(), a.Revocations
	switch {
	case given.Through == have.Through && given.Digest == have.Digest:
		return nil
	case given.Through <= have.Through:
		return refuse(gateway.OldRevocations, "install revocations: number %d is not above %d, which is in force", given.Through, have.Through)
	}
	next := e.policy.Revoke(given)
	e.write(revokedLoaded(operator, e.policy, next))
	e.policy = next
	e.endRevoked(time.Now())
	e.batch.acts = append(e.batch.acts, a)
	return nil
}

// revokedLoaded names nobody: the list is the hospital's, and whose session ends has a record of its own.
func revokedLoaded(operator string, before, after policy.Snapshot) gateway.Record {
	list := after.Revocations()
	return gateway.Record{
		Kind: gateway.RevokedLoaded, State: fmt.Sprintf("version-%d", list.Through), Operator: operator,
		Words: fmt.Sprintf("%s; sha256 %s", after.RevokedSince(before), list.Digest),
	}
}

// endRevoked ends the sessions of revoked people, drops what they wait for, and takes revoked phones out of use.
func (e *Engine) endRevoked(now time.Time) {
	var who []gateway.ClinicianID
	for _, p := range e.state.Phones {
		if e.policy.Revokes(p.Owner) {
			who = append(who, p.Owner)
		}
		if p.For != nil && e.policy.Revokes(p.For.Clinician) {
			who = append(who, p.For.Clinician)
		}
	}
	if len(who) > 0 {
		e.step(session.Barred{At: now, Clinicians: who})
	}
	for _, p := range e.state.Phones {
		if e.policy.RevokesPhone(p.ID) {
			e.step(session.Withdrawn{At: now, Phone: p.ID, Reason: gateway.RevokedPhone})
		}
	}
}

// revokeWithoutStore keeps in force what a batch that could not be written has revoked, and owes it to the store.
func (e *Engine) revokeWithoutStore(replies []reply) {
	for _, r := range replies {
		a, ok := r.act.(gateway.InstallRevocations)
		if !ok || r.err != nil || a.Revocations.Through <= e.policy.Revocations().Through {
			continue
		}
		next := e.policy.Revoke(a.Revocations)
		e.postpone(e.entry(revokedLoaded(r.operator, e.policy, next)))
		e.policy, e.owed = next, []gateway.Act{a}
	}
}

// presented is the phone a tap at place is about. A revoked one is about nothing: whoever taps there gets another.
func (e *Engine) presented(place gateway.Place) gateway.PhoneID {
	id := e.registry.Presented(place)
	if e.policy.RevokesPhone(id) {
		return ""
	}
	return id
}

package handoff

import (
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
)

// maxPending bounds what is remembered while nothing can be written; the phones' receipts tell it again.
const maxPending = 4096

// withoutStore goes through the batch again for a disk on which nothing can be written: what takes access away is done
// and written down later, and so is what merely happened; nobody is given anything, and the acts are as if they had never
// come, but for the release of a phone and for revocations.
func (e *Engine) withoutStore() {
	b := e.batch
	e.begin()
	e.state, e.policy, e.loaded = b.before, b.policy, b.loaded
	e.revokeWithoutStore(b.replies)
	armed := e.armed
	e.armed = map[gateway.ReaderID]takeover{}
	e.storage = gateway.StorageNone
	first := len(e.pending) == 0
	e.postpone(b.facts...) // made before anything below, and the log's time since boot must not go back
	if first {
		e.postpone(e.entry(gateway.Record{Kind: gateway.StorageChanged, State: e.storage.String()}))
	}
	for reader, t := range armed {
		if b.armed[reader] == t { // not one that was refused just now
			e.postpone(e.entry(t.ended(reader, takeOverCancelled, gateway.StorageExhausted)))
		}
	}
	for _, s := range b.steps {
		if s.act == nil || releases(s.act) {
			e.stepWithoutStore(s.event)
		}
	}
	for _, r := range b.replies {
		if r.err == nil && !releases(r.act) {
			r.err = refuse(gateway.StorageExhausted, "the box's disk is full: nothing was changed")
			e.postpone(e.entry(refusal(r.operator, r.act, r.err)))
		}
		e.batch.replies = append(e.batch.replies, r)
	}
	e.nextLook = time.Now().Add(lookSoon)
}

// stepWithoutStore makes a step that gives nothing: a tap that would is refused, and before anything else that would, all
// who wait are.
func (e *Engine) stepWithoutStore(event session.Event) {
	after, effects := session.Step(e.state, event)
	if gives(effects) {
		if tap, ok := event.(session.Tapped); ok {
			event = session.Denied{
				At: tap.At, Reader: tap.Reader, Origin: tap.Origin, Clinician: tap.Clinician, Assurance: tap.Assurance,
				Policy: tap.Policy, Reason: gateway.StorageExhausted, Durations: tap.Durations,
			}
		} else {
			e.stepWithoutStore(session.Exhausted{At: time.Now()})
		}
		after, effects = session.Step(e.state, event)
	}
	e.state = after
	s := step{event: event, effects: effects, after: after}
	e.batch.steps = append(e.batch.steps, s)
	e.trace(s)
	for _, eff := range effects {
		if r, ok := eff.(*session.Record); ok {
			e.postpone(e.entry(r.Record))
		}
	}
}

// postpone keeps entries until something can be written again.
func (e *Engine) postpone(entries ...audit.Entry) {
	room := max(0, maxPending-len(e.pending))
	e.pending = append(e.pending, entries[:min(len(entries), room)]...)
}

// gives says that effects open or unlock a session, or promise to. A renewal does not: it keeps what was given and
// recorded, until the session's limit.
func gives(effects []session.Effect) bool {
	return slices.ContainsFunc(effects, func(eff session.Effect) bool {
		switch eff := eff.(type) {
		case session.Send:
			return eff.Kind == gateway.Bind || eff.Kind == gateway.Renew && eff.Unlock
		case *session.Record:
			return eff.Kind == gateway.HandOffRequested || eff.Kind == gateway.CheckOutRequested
		}
		return false
	})
}

// releases says that an act takes access away, which never waits for a disk.
func releases(act gateway.Act) bool {
	switch act := act.(type) {
	case gateway.ReleasePhone, gateway.InstallRevocations:
		return true
	case gateway.TakeOver:
		return act.Phone == ""
	}
	return false
}

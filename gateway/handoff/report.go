package handoff

import (
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
	"tapward/gateway/session"
)

// report takes in what discovery and the links tell.
func (e *Engine) report(r phone.Report) {
	before := e.registry
	e.registry = e.registry.With(r)
	switch r := r.(type) {
	case phone.Sighting:
		e.cfg.Phones.Propose(r)
		e.batch.show = true
	case phone.Linked:
		e.step(session.Seen{At: r.At, Phone: r.Phone, Truth: r.Truth})
	case phone.Unlinked:
		e.step(session.Gone{At: r.At, Phone: r.Phone})
	case phone.Answer:
		e.step(session.Answered{At: r.At, Receipt: r.Receipt})
	case phone.Status:
		e.status(before, r)
	case phone.Stranger:
		e.stranger(r)
	}
}

// status turns what a phone says about itself into what happened to it: in use, or come back to a dock. A phone that was
// used in its dock and never left it has not come back. What it says is a standing, not a change, so that nothing is
// missed with a link.
func (e *Engine) status(before phone.Registry, s phone.Status) {
	was, known := before.Phone(s.Phone)
	if !known {
		return
	}
	now, _ := e.registry.Phone(s.Phone)
	if looks(was.Status) != looks(now.Status) {
		e.batch.show = true
	}
	p, _ := e.state.Phone(s.Phone)
	if p.Phase != session.Bound {
		return
	}
	if s.PickedUp && !p.PickedUp {
		e.step(session.PickedUp{At: s.At, Phone: s.Phone})
	}
	if s.Slot != "" && s.Left {
		e.step(session.Docked{At: s.At, Phone: s.Phone})
	}
}

// looks is the part of a status that the station shows.
func looks(s phone.Status) phone.Status {
	s.At = time.Time{}
	return s
}

const (
	strangerEvery = 10 * time.Minute
	maxStrangers  = 64
)

// stranger writes down a link that was refused, once in a while for each key and address, so that knocking cannot fill
// the log.
func (e *Engine) stranger(s phone.Stranger) {
	now := time.Now()
	key := s.Key.String() + s.Why
	if last, told := e.refused[key]; told && now.Sub(last) < strangerEvery {
		return
	}
	for k, last := range e.refused {
		if now.Sub(last) >= strangerEvery {
			delete(e.refused, k)
		}
	}
	if len(e.refused) >= maxStrangers {
		return
	}
	e.refused[key] = now
	e.note(gateway.Record{
		Kind: gateway.PhoneRefused, At: s.At, Phone: s.Phone, State: "refused",
		Words: s.Why + " (key " + s.Key.String() + " at " + s.Address + ")",
	})
}

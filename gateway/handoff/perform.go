package handoff

import (
	"time"

	"tapward/gateway"
	"tapward/gateway/session"
)

// passage is the timing of a custody on its way from the tap to the phone's confirmation.
type passage struct {
	decided   time.Time
	committed time.Time
	notified  time.Time
}

// perform does what was decided, in order, and answers the operators.
func (e *Engine) perform() {
	committed := time.Now()
	for _, s := range e.batch.steps {
		for _, eff := range s.effects {
			switch eff := eff.(type) {
			case session.Send:
				e.send(eff.Command, committed)
			case session.Tell:
				e.cfg.Readers.Signal(eff.Feedback)
				e.told(eff.Feedback)
			}
		}
	}
	for _, then := range e.batch.then {
		then()
	}
	for _, r := range e.batch.replies {
		r.done <- r.err
	}
}

// prepareMost binds of one batch are signed while the disk is busy with the commit. The signatures of a whole crowd would
// keep the processors from the commit.
const prepareMost = 2

// prepare announces the binds that the batch will send.
func (e *Engine) prepare() {
	most := prepareMost
	for _, s := range e.batch.steps {
		for _, eff := range s.effects {
			send, ok := eff.(session.Send)
			if !ok || send.Command.Kind != gateway.Bind {
				continue
			}
			if most--; most < 0 {
				return
			}
			e.cfg.Phones.Prepare(send.Command, e.name(send.Command))
		}
	}
}

// name is what a bind shows on the phone.
func (e *Engine) name(c gateway.Command) string {
	if c.Kind != gateway.Bind {
		return ""
	}
	return e.policy.Name(c.Grant.Clinician)
}

func (e *Engine) send(c gateway.Command, committed time.Time) {
	if c.Kind == gateway.Bind {
		e.registry = e.registry.Used(c.Phone, committed)
	}
	e.cfg.Phones.Send(c, e.name(c))
	if p, ok := e.passages[c.Grant.Custody]; ok && c.Kind == gateway.Bind {
		if p.decided.Before(e.batch.began) {
			p.decided = e.batch.began // a bind that waited for a release, or for another phone
		}
		p.committed, p.notified = committed, time.Now()
		e.passages[c.Grant.Custody] = p
	}
}

// measure keeps a custody's times and puts them into the record of its confirmation.
func (e *Engine) measure(r *gateway.Record) {
	switch r.Kind {
	case gateway.CheckOutRequested, gateway.HandOffRequested:
		e.passages[r.Custody] = passage{decided: time.Now()}
	case gateway.SessionOpened:
		p := e.passages[r.Custody]
		if !p.notified.IsZero() {
			r.Durations.Commit = p.committed.Sub(p.decided)
			r.Durations.Notify = p.notified.Sub(p.committed)
			r.Durations.Confirmed = r.At.Sub(p.notified)
		}
		delete(e.passages, r.Custody)
	case gateway.CustodyFailed:
		delete(e.passages, r.Custody)
	}
}

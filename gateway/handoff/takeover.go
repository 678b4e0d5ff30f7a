package handoff

import (
	"time"

	"tapward/gateway"
	"tapward/gateway/session"
)

// takeover is armed at the station for the next tap at a reader.
type takeover struct {
	phone    gateway.PhoneID
	until    time.Time
	operator string // who armed it
}

// takeoverFor is how long a take-over stays armed.
const takeoverFor = 15 * time.Second

// What becomes of a take-over, as its records say it. One that is used has the tap's own record.
const (
	takeOverArmed     = "take-over-armed"
	takeOverCancelled = "take-over-cancelled" // by a tap that it was not for, or that was refused; or by an operator
	takeOverReplaced  = "take-over-replaced"  // by a newer one
	takeOverLapsed    = "take-over-lapsed"
)

// ended is the record of a take-over that nobody's tap used.
func (t takeover) ended(reader gateway.ReaderID, how string, reasons ...gateway.Reason) gateway.Record {
	return gateway.Record{
		Kind: gateway.OperatorActed, Reader: reader, Phone: t.phone, State: how, Operator: t.operator, Reasons: reasons,
	}
}

// takeOver arms the next tap at a reader; without a phone it cancels what is armed.
func (e *Engine) takeOver(operator string, a gateway.TakeOver) error {
	if a.Phone == "" {
		e.cancelTakeOver(operator)
		return nil
	}
	if p, ok := e.state.Phone(a.Phone); !ok || p.Phase != session.Bound {
		return refuse(gateway.UnknownPhone, "take over phone %s: nobody holds it", a.Phone)
	}
	if _, ok := e.policy.Place(a.Reader); !ok {
		return refuse(gateway.UnknownReader, "take over at reader %s: the policy has no such reader", a.Reader)
	}
	e.endTakeOvers(takeOverReplaced) // any other input cancels
	e.armed[a.Reader] = takeover{a.Phone, time.Now().Add(takeoverFor), operator}
	e.write(gateway.Record{Kind: gateway.OperatorActed, Reader: a.Reader, Phone: a.Phone, State: takeOverArmed, Operator: operator})
	return nil
}

// cancelTakeOver is an act of its own, also where nothing is armed.
func (e *Engine) cancelTakeOver(operator string) {
	if len(e.armed) == 0 {
		e.note(takeover{operator: operator}.ended("", takeOverCancelled))
	}
	for reader, t := range e.armed {
		t.operator = operator
		e.note(t.ended(reader, takeOverCancelled))
	}
	clear(e.armed)
}

func (e *Engine) endTakeOvers(how string) {
	for reader, t := range e.armed {
		e.note(t.ended(reader, how))
	}
	clear(e.armed)
}

// lapse forgets a take-over whose time has passed.
func (e *Engine) lapse(now time.Time) {
	for reader, t := range e.armed {
		if !now.Before(t.until) {
			delete(e.armed, reader)
			e.note(t.ended(reader, takeOverLapsed))
		}
	}
}

// disarm is the take-over that a tap at the reader uses up. A tap anywhere cancels the others.
func (e *Engine) disarm(reader gateway.ReaderID, now time.Time) (takeover, bool) {
	e.lapse(now)
	t, ok := e.armed[reader]
	delete(e.armed, reader)
	e.endTakeOvers(takeOverCancelled)
	return t, ok
}

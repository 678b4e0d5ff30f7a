package session

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"tapward/gateway"
)

// Step decides one event. It returns the next state and what must be done, in order; s itself is not changed. Records
// belong into the same commit as the new state, and the other effects are performed only after it.
func Step(s State, e Event) (State, []Effect) {
	t := turn{State: s, at: e.when()}
	t.Phones = slices.Clone(s.Phones)
	switch e := e.(type) {
	case Tapped:
		t.tapped(e)
	case Denied:
		t.denied(e)
	case Answered:
		t.answered(e.Receipt)
	case Seen:
		t.seen(e.Phone, e.Truth)
	case Gone:
		t.gone(e.Phone)
	case PickedUp:
		t.pickedUp(e.Phone)
	case Docked:
		t.docked(e.Phone)
	case Deadline:
		t.deadline(e.Phone, e.Timer)
	case Barred:
		t.barred(e.Clinicians)
	case Withdrawn:
		t.withdrawn(e.Phone, e.Reason)
	case Ordered:
		t.ordered(e.Phone, e.Operator)
	case Exhausted:
		t.exhausted()
	case Added:
		t.added(e.Phone)
	case Removed:
		t.removed(e.Phone)
	case Restarted:
		t.restarted(e.SameBoot)
	default:
		panic(fmt.Sprintf("session: unknown event %T", e))
	}
	return t.State, t.effects
}

// turn is one step under way: a copy of the state that may be written to, and the effects so far.
type turn struct {
	State
	at      time.Time
	effects []Effect
}

// phone is the phone to write to, nil where it is not (or no longer) one of ours.
func (t *turn) phone(id gateway.PhoneID) *Phone {
	i, ok := slices.BinarySearchFunc(t.Phones, id, func(p Phone, id gateway.PhoneID) int { return cmp.Compare(p.ID, id) })
	if !ok {
		return nil
	}
	return &t.Phones[i]
}

// record notes what happened to a phone, with the session or the passage that it is about.
func (t *turn) record(kind gateway.RecordKind, p *Phone, reasons ...gateway.Reason) *gateway.Record {
	r := gateway.Record{
		Kind: kind, At: t.at, Phone: p.ID, Fence: p.Fence, Custody: p.Custody, Clinician: p.Owner,
		Policy: p.Grant.Policy, Reasons: reasons,
	}
	if p.Owner != "" {
		r.Grant = p.Grant.Digest()
	}
	return t.note(r)
}

// note appends a record and returns it for the caller to complete before the step ends.
func (t *turn) note(r gateway.Record) *gateway.Record {
	rec := &Record{r}
	t.effects = append(t.effects, rec)
	return &rec.Record
}

// tell answers whoever tapped, where there is a tap to answer.
func (t *turn) tell(f gateway.Feedback) {
	if f.Reader != "" {
		t.effects = append(t.effects, Tell{f})
	}
}

// order sends the one command that p now waits for. Where an earlier one is unanswered, this one is aimed above it, as
// if it had happened: if it had not, the phone declines and says where it stands. Above the last fence there is nothing
// to send: the deadline then says what to do with a phone that cannot be commanded.
func (t *turn) order(p *Phone, c gateway.Command) {
	c.Phone, c.Expect, c.Reason = p.ID, p.Fence, p.Reason
	if p.Await != gateway.NoCommand {
		c.Expect = p.Next
	}
	if c.Expect == gateway.LastFence {
		return
	}
	c.Next = c.Expect + 1
	if c.Kind != gateway.Release { // a release closes whatever is there: the fence alone says what that is
		c.Grant = p.Grant
	}
	p.Await, p.Next = c.Kind, c.Next
	t.effects = append(t.effects, Send{c})
}

// vacate forgets the session, whose end is settled.
func (p *Phone) vacate(phase Phase) {
	*p = Phone{ID: p.ID, Phase: phase, Fence: p.Fence, Linked: p.Linked}
}

package agent

import (
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// Verdict says what becomes of a command.
type Verdict struct {
	Outcome Outcome
	Reason  gateway.Reason // Refuse
	Signed  string         // Repeat: the receipt it got the first time
}

// Outcome is the kind of a Verdict.
type Outcome uint8

const (
	Refuse Outcome = iota // declined; nothing changed
	Repeat                // answered before: the same receipt again
	Wait                  // another is being carried out, or this very one: decide again when that is finished
	Obey                  // accepted: the returned state must be stored before anything is done
)

// maxGrant keeps the hello, which carries the grant and checkpoints, within one message. maxSeconds keeps every
// duration in range.
const (
	maxGrant   = 4 << 10
	maxSeconds = 366 * 24 * 3600
)

// Decide judges a command. It is obeyed only where it is fresh, its fence is the next one and its grant fits; the fence
// then has risen by exactly one and Pending is the command. Decide does nothing to the device: Owes says what is to do.
func (s State) Decide(h Heard, now time.Duration) (State, Verdict) {
	if a, ok := s.answer(h.Box, h.ID); ok {
		return s, Verdict{Outcome: Repeat, Signed: a.Signed}
	}
	if s.Pending != nil {
		return s, Verdict{Outcome: Wait}
	}
	if reason := s.objection(h, now); reason != "" {
		return s, Verdict{Outcome: Refuse, Reason: reason}
	}
	unlock := h.Kind == gateway.Renew && h.Unlock && s.Session.Locked // where it is open, a failed device closes nothing
	s.Fence = h.Next
	s.Pending = &Pending{Box: h.Box, ID: h.ID, Kind: h.Kind, Unlock: unlock}
	return s.accept(h, now), Verdict{Outcome: Obey}
}

// objection is why a command is declined; empty where it is not.
func (s State) objection(h Heard, now time.Duration) gateway.Reason {
	switch {
	case !h.Fresh:
		return link.StaleChallenge
	case h.Expect != s.Fence || h.Next != s.Fence+1:
		return link.FenceMismatch
	}
	switch h.Kind {
	case gateway.Bind:
		return s.objectionToBind(h)
	case gateway.Renew, gateway.Lock:
		return s.objectionToChange(h, now)
	case gateway.Release:
		if !h.Digest.IsZero() && h.Digest != s.Truth().Grant {
			return link.WrongGrant
		}
		return ""
	}
	return link.FenceMismatch
}

func (s State) objectionToBind(h Heard) gateway.Reason {
	switch g := h.Given; {
	case s.Session != nil && !s.Session.Closed:
		return link.SessionPresent
	case s.Session != nil || s.Leftover:
		return gateway.PhoneNotCleared
	case g == nil || len(h.Grant) > maxGrant || !sound(*g):
		return link.BadGrant
	case g.Phone != s.Phone || g.Box != h.Box || g.Fence != h.Next || !h.Digest.IsZero() && h.Digest != g.Digest():
		return link.WrongGrant
	}
	return ""
}

// sound says that a grant's durations make sense: a lease there must be; idle and limit may be zero, which is never.
func sound(g gateway.Grant) bool {
	return 0 < g.Lease && g.Lease <= maxSeconds &&
		0 <= g.Idle && g.Idle <= maxSeconds &&
		0 <= g.Limit && g.Limit <= maxSeconds
}

func (s State) objectionToChange(h Heard, now time.Duration) gateway.Reason {
	switch {
	case s.Session == nil || s.Session.Closed:
		return link.NoSession
	case h.Digest != s.Truth().Grant:
		return link.WrongGrant
	case h.Kind == gateway.Renew && s.Session.pastLimit(now):
		return link.PastLimit
	}
	return ""
}

// accept is the state in which the device is to do what h asks. A session stays locked until the device has opened, and
// is closed to its holder before it is cleared.
func (s State) accept(h Heard, now time.Duration) State {
	switch h.Kind {
	case gateway.Bind:
		s.Session = newSession(h, now)
	case gateway.Renew:
		return s.with(func(x *Session) { x.LeaseEnd = x.renewed(h.Lease, now) })
	case gateway.Lock:
		s.LockOwed = true
		return s.with(func(x *Session) { x.Locked, x.Reason, x.Sentence = true, h.Reason, h.Sentence })
	case gateway.Release:
		return s.closed(h.Reason, h.Sentence)
	}
	return s
}

func newSession(h Heard, now time.Duration) *Session {
	x := &Session{Grant: *h.Given, Signed: h.Grant, Name: h.Name, Locked: true, Touched: now}
	x.LimitEnd = now + seconds(x.Grant.Limit)
	x.LeaseEnd = x.renewed(h.Lease, now)
	return x
}

// renewed is a lease's new end: never longer than the grant's lease, never past its limit.
func (x *Session) renewed(lease int64, now time.Duration) time.Duration {
	if lease <= 0 || lease > x.Grant.Lease {
		lease = x.Grant.Lease
	}
	end := now + seconds(lease)
	if x.Grant.Limit > 0 {
		end = min(end, x.LimitEnd)
	}
	return end
}

func (x *Session) pastLimit(now time.Duration) bool { return x.Grant.Limit > 0 && now >= x.LimitEnd }

// closed ends the session for its holder: locked, and the name gone.
func (s State) closed(reason gateway.Reason, sentence string) State {
	if s.Session == nil {
		return s
	}
	return s.with(func(x *Session) {
		x.Closed, x.Locked, x.Name = true, true, ""
		x.Reason, x.Sentence = reason, sentence
	})
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

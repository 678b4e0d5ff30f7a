package agent

import (
	"time"

	"tapward/gateway"
)

// Start is the state under the boot that now runs. Another boot than the one it was stored in means locked: no lease
// was counted meanwhile. The limit goes on with what was left of it when the state was stored, since the phone cannot
// know how long it was off; the box, which can, renews nothing past it.
func (s State) Start(boot string, now time.Duration) State {
	if s.Boot == boot {
		return s
	}
	before := s.At
	s.Boot, s.At = boot, now
	if s.Session == nil {
		return s
	}
	s = s.with(func(x *Session) {
		x.LeaseEnd, x.Touched = now, now
		x.LimitEnd = now + max(0, x.LimitEnd-before)
	})
	if s.Session.Closed {
		return s // its clearing goes on
	}
	if p := s.Pending; p != nil && (p.Kind == gateway.Bind || p.Kind == gateway.Renew) {
		s.Pending = nil // nothing opens in another boot than it was ordered in
	}
	return s.lockItself(gateway.PhoneRebooted)
}

// Expire locks a session whose lease, limit or idle time has run out.
func (s State) Expire(now time.Duration) State {
	if !s.open() {
		return s
	}
	switch x := s.Session; {
	case x.pastLimit(now):
		return s.lockItself(gateway.LimitReached)
	case now >= x.LeaseEnd:
		return s.lockItself(gateway.LeaseEnded)
	case x.Grant.Idle > 0 && now >= x.Touched+seconds(x.Grant.Idle):
		return s.lockItself(gateway.IdleLock)
	}
	return s
}

func (s State) lockItself(reason gateway.Reason) State {
	s.LockOwed = true
	return s.with(func(x *Session) { x.Locked, x.Reason, x.Sentence = true, reason, reason.Sentence() })
}

// Deadline is when Expire will lock, as things stand; ok is false where nothing runs.
func (s State) Deadline() (at time.Duration, ok bool) {
	if !s.open() {
		return 0, false
	}
	x := s.Session
	at = x.LeaseEnd // never past the limit
	if x.Grant.Idle > 0 {
		at = min(at, x.Touched+seconds(x.Grant.Idle))
	}
	return at, true
}

// Touch notes that somebody used the phone.
func (s State) Touch(now time.Duration) State {
	if !s.open() {
		return s
	}
	return s.with(func(x *Session) { x.Touched = now })
}

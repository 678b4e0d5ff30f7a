package agent

import (
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// Act is something the device must do.
type Act uint8

const (
	Rest  Act = iota
	Open      // let the holder in
	Lock      // keep everybody out; what the session has stays
	Clear     // keep everybody out, remove all the session has and verify that nothing is left
)

var acts = [...]string{"rest", "open", "lock", "clear"}

func (a Act) String() string { return acts[a] }

// Owes is what the device must do now. It follows from the state alone, so a restarted agent takes up what was begun.
func (s State) Owes() Act {
	switch p := s.Pending; {
	case p == nil && s.LockOwed:
		return Lock
	case p == nil:
		return Rest
	case p.Kind == gateway.Release || p.Undo:
		return Clear
	case p.Kind == gateway.Lock:
		return Lock
	case p.Kind == gateway.Bind || p.Unlock:
		return Open
	}
	return Rest
}

// Statement is a receipt to be signed; Command is empty where the phone acted by itself.
type Statement struct {
	Box     gateway.BoxID
	Command string
	gateway.Receipt
}

// Finish takes the device's answer to what it Owes (a renewal may owe nothing) and returns what there is to state; a
// failed bind states nothing yet, because it is cleared first.
func (s State) Finish(done bool, now time.Duration) (State, *Statement) {
	switch s.Owes() {
	case Open:
		return s.opened(done, now)
	case Lock:
		return s.locked(done)
	case Clear:
		return s.cleared(done)
	}
	if s.Pending != nil {
		return s.settle(gateway.Renewed, "")
	}
	return s, nil
}

func (s State) opened(done bool, now time.Duration) (State, *Statement) {
	bind := s.Pending.Kind == gateway.Bind
	switch {
	case done:
		s.LockOwed = false
		s = s.with(func(x *Session) { x.Locked, x.Reason, x.Sentence, x.Touched = false, "", "", now })
		if bind {
			return s.settle(gateway.Bound, "")
		}
		return s.settle(gateway.Renewed, "")
	case bind:
		undo := *s.Pending
		undo.Undo = true
		s.Pending = &undo
		return s.closed(link.DeviceFailed, ""), nil
	}
	s.LockOwed = true // it may be half open
	return s.settle(gateway.Declined, link.DeviceFailed)
}

func (s State) locked(done bool) (State, *Statement) {
	commanded := s.Pending != nil
	s.LockOwed = !done
	switch {
	case !done && commanded:
		return s.settle(gateway.Declined, link.DeviceFailed)
	case !done:
		return s, nil
	case commanded:
		return s.settle(gateway.Locked, s.Session.Reason)
	}
	return s, s.state(gateway.Locked, s.Session.Reason)
}

func (s State) cleared(done bool) (State, *Statement) {
	undo := s.Pending.Undo
	s.Leftover = !done
	s.LockOwed = false
	if done {
		s.Session = nil
	}
	switch {
	case done && undo:
		return s.settle(gateway.Declined, link.DeviceFailed)
	case done:
		return s.settle(gateway.Cleared, "")
	case undo:
		return s.settle(gateway.Declined, gateway.PhoneNotCleared)
	}
	return s.settle(gateway.ClearFailed, gateway.PhoneNotCleared)
}

// settle ends the pending command with a receipt.
func (s State) settle(kind gateway.ReceiptKind, reason gateway.Reason) (State, *Statement) {
	p := s.Pending
	s.Pending = nil
	said := s.state(kind, reason)
	said.Box, said.Command, said.Next = p.Box, p.ID, s.Fence
	return s, said
}

func (s State) state(kind gateway.ReceiptKind, reason gateway.Reason) *Statement {
	return &Statement{Receipt: gateway.Receipt{Kind: kind, Phone: s.Phone, Truth: s.Truth(), Reason: reason}}
}

// Decline is the receipt for a refused command.
func (s State) Decline(h Heard, reason gateway.Reason) Statement {
	said := s.state(gateway.Declined, reason)
	said.Box, said.Command, said.Next = h.Box, h.ID, h.Next
	return *said
}

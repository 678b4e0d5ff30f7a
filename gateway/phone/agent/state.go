package agent

import (
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// Remembered is how many answered commands a phone can answer again.
const Remembered = 16

// State is all that a phone must remember to answer the next command. It is a value: what its pointers and slices show
// is never written into. Times are readings of the boot clock (CLOCK_BOOTTIME), and mean something under Boot only.
type State struct {
	Phone    gateway.PhoneID `json:"phone"`
	Fence    gateway.Fence   `json:"fence"`
	Boot     string          `json:"boot"`
	At       time.Duration   `json:"at"` // when this state was stored
	Session  *Session        `json:"session,omitempty"`
	Leftover bool            `json:"leftover,omitempty"`  // the last verify step found something; no bind until one finds nothing
	LockOwed bool            `json:"lock_owed,omitempty"` // the device has not yet confirmed that it is locked
	Pending  *Pending        `json:"pending,omitempty"`   // the accepted command that is being carried out
	Answered []Answer        `json:"answered,omitempty"`  // oldest first, at most Remembered
	Seen     []Checkpoint    `json:"seen,omitempty"`      // one per box, least recently changed first
}

// Session is the one session a phone may have.
type Session struct {
	Grant    gateway.Grant  `json:"grant"`
	Signed   string         `json:"signed"` // the grant as the box signed it
	Name     string         `json:"name,omitempty"`
	Locked   bool           `json:"locked"`
	Closed   bool           `json:"closed,omitempty"` // released: its holder is out, what it left is being cleared or could not be
	Reason   gateway.Reason `json:"reason,omitempty"` // why it is locked or closed
	Sentence string         `json:"sentence,omitempty"`
	LeaseEnd time.Duration  `json:"lease_end"`
	LimitEnd time.Duration  `json:"limit_end"`      // meaningless where the grant has no limit
	Touched  time.Duration  `json:"touched"`        // when somebody last used the phone
	Left     bool           `json:"left,omitempty"` // the phone stood outside a dock at some time since the bind was accepted
}

// Pending is a command that was accepted, so that its fence is taken, and whose receipt is still owed.
type Pending struct {
	Box    gateway.BoxID       `json:"box"`
	ID     string              `json:"id"`
	Kind   gateway.CommandKind `json:"kind"`
	Unlock bool                `json:"unlock,omitempty"`
	Undo   bool                `json:"undo,omitempty"` // a bind that failed: what it began is being cleared
}

// Answer is a receipt as it was given, by the command's box and id.
type Answer struct {
	Box    gateway.BoxID `json:"box"`
	ID     string        `json:"id"`
	Signed string        `json:"signed"`
}

// Truth is where the phone stands, for hellos and receipts. A session whose device has not confirmed its lock is not
// called locked.
func (s State) Truth() gateway.Truth {
	truth := gateway.Truth{Fence: s.Fence}
	if s.Session != nil {
		truth.Box = s.Session.Grant.Box
		truth.Grant = s.Session.Grant.Digest()
		truth.Locked = s.Session.Locked && !s.LockOwed
	}
	return truth
}

// Held is the signed grant in the phone's hands; empty where there is none.
func (s State) Held() string {
	if s.Session == nil {
		return ""
	}
	return s.Session.Signed
}

// LeaseLeft is how long the phone stays unlocked without a renewal; zero where it is locked or free.
func (s State) LeaseLeft(now time.Duration) time.Duration {
	if !s.open() {
		return 0
	}
	return max(0, s.Session.LeaseEnd-now)
}

// open says that somebody can use the phone.
func (s State) open() bool { return s.Session != nil && !s.Session.Locked && !s.Session.Closed }

// Healthy says that the phone may be given to somebody.
func (s State) Healthy() bool { return !s.Leftover && !s.LockOwed }

// Leave notes that the phone stands outside a dock.
func (s State) Leave() State {
	if s.Session == nil || s.Session.Left {
		return s
	}
	return s.with(func(x *Session) { x.Left = true })
}

// Left says that the phone stood outside a dock at some time in its session.
func (s State) Left() bool { return s.Session != nil && s.Session.Left }

// Remember keeps a signed receipt for repeats of its command.
func (s State) Remember(a Answer) State {
	s.Answered = append(slices.Clone(s.Answered), a)
	if extra := len(s.Answered) - Remembered; extra > 0 {
		s.Answered = slices.Delete(s.Answered, 0, extra)
	}
	return s
}

func (s State) answer(box gateway.BoxID, id string) (Answer, bool) {
	i := slices.IndexFunc(s.Answered, func(a Answer) bool { return a.Box == box && a.ID == id })
	if i < 0 {
		return Answer{}, false
	}
	return s.Answered[i], true
}

// Heard is a command as the phone heard it.
type Heard struct {
	link.Order
	Box   gateway.BoxID  // on whose link
	Fresh bool           // its challenge is one of that link's, at most ChallengeLife old
	Given *gateway.Grant // a bind's grant under that box's signature; nil where the signature or the form is bad
}

// with is the session changed by f, in a new State.
func (s State) with(f func(*Session)) State {
	changed := *s.Session
	f(&changed)
	s.Session = &changed
	return s
}

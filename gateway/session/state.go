package session

import (
	"slices"
	"time"

	"tapward/gateway"
)

// Phase is where a phone stands, as far as this box may believe.
type Phase uint8

const (
	Free        Phase = iota // shows nobody, may be given
	Binding                  // a bind went out, its receipt is awaited
	Bound                    // the phone confirmed its owner
	Releasing                // a release is out or waits for the link; may still show the owner
	Quarantined              // was not proven clear; nobody gets it
	Foreign                  // holds another box's session
)

var phases = [...]string{"free", "binding", "bound", "releasing", "quarantined", "foreign"}

func (p Phase) String() string { return phases[p] }

// Phases is every Phase.
var Phases = []Phase{Free, Binding, Bound, Releasing, Quarantined, Foreign}

// State is all that must be remembered to decide the next event. It is a value: Step returns a new one and never
// writes into the old.
type State struct {
	Box     gateway.BoxID
	Custody gateway.Custody // the newest given out
	Phones  []Phone         // ordered by ID
}

// Phone is one phone of the state.
type Phone struct {
	ID    gateway.PhoneID
	Phase Phase

	// Of the phone itself.
	Fence  gateway.Fence // as the phone last proved it
	Linked bool          // its authenticated link stands; not durable

	// Of the session it shows or may show. Zero where Free, Foreign, or quarantined without one.
	Owner    gateway.ClinicianID
	Custody  gateway.Custody
	Grant    gateway.Grant
	Terms    gateway.Terms
	Locked   bool
	PickedUp bool
	Over     bool           // its limit was reached: nothing renews it
	Since    time.Time      // when the session opened, or was asked for
	Reason   gateway.Reason // why it is locked, releasing or quarantined

	// Of the one command whose receipt is awaited. Older commands are dead by their fence.
	Await gateway.CommandKind
	Next  gateway.Fence // of the awaited command

	// Of the people who wait: for whom it is being bound or cleared, and the reader where its holder tapped to resume or
	// return. Not durable.
	For *Request
	By  gateway.ReaderID

	Due Due
}

// Request is a permitted tap on its way to a phone. It is not durable: a restart ends it and says so.
type Request struct {
	Clinician  gateway.ClinicianID
	Previous   gateway.ClinicianID // hand-off: whose session ends
	Reader     gateway.ReaderID
	Origin     gateway.Origin
	Assurance  gateway.Assurance
	Terms      map[gateway.PhoneID]gateway.Terms
	Policy     gateway.Digest
	Custody    gateway.Custody
	Why        gateway.Reason    // check-out, hand-off, taken over
	Candidates []gateway.PhoneID // still to be tried, best first
}

// Due holds a phone's running deadlines; zero means not armed.
type Due struct {
	Answer time.Time // of the awaited command
	Pickup time.Time
	Renew  time.Time
	Lease  time.Time // when the phone has locked itself at the latest
	Limit  time.Time
	Return time.Time // until when a second tap returns the phone
}

// Timer names a deadline.
type Timer uint8

const (
	AnswerTimer Timer = iota
	PickupTimer
	RenewTimer
	LeaseTimer
	LimitTimer
	ReturnTimer
)

var timers = [...]string{"answer", "pickup", "renew", "lease", "limit", "return"}

func (t Timer) String() string { return timers[t] }

// Timers is every Timer.
var Timers = []Timer{AnswerTimer, PickupTimer, RenewTimer, LeaseTimer, LimitTimer, ReturnTimer}

// At is when t is due, zero where it is not armed.
func (d Due) At(t Timer) time.Time {
	return [...]time.Time{d.Answer, d.Pickup, d.Renew, d.Lease, d.Limit, d.Return}[t]
}

// Phone finds a phone by id.
func (s State) Phone(id gateway.PhoneID) (Phone, bool) {
	i, ok := slices.BinarySearchFunc(s.Phones, id, func(p Phone, id gateway.PhoneID) int {
		return cmpID(p.ID, id)
	})
	if !ok {
		return Phone{}, false
	}
	return s.Phones[i], true
}

// Held is the phone a clinician holds or is about to get; one at most.
func (s State) Held(who gateway.ClinicianID) (Phone, bool) {
	for _, p := range s.Phones {
		if (p.Phase == Binding || p.Phase == Bound) && p.Owner == who || p.For != nil && p.For.Clinician == who {
			return p, true
		}
	}
	return Phone{}, false
}

// Earliest is the next deadline of all, for the engine's one timer; zero where none is armed.
func (s State) Earliest() (at time.Time, phone gateway.PhoneID, timer Timer) {
	for _, p := range s.Phones {
		for _, t := range Timers {
			if due := p.Due.At(t); !due.IsZero() && (at.IsZero() || due.Before(at)) {
				at, phone, timer = due, p.ID, t
			}
		}
	}
	return at, phone, timer
}

func cmpID(a, b gateway.PhoneID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

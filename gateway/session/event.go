package session

import (
	"time"

	"tapward/gateway"
)

// Event is what the world can tell a ward. Every event is handled in every phase.
type Event interface{ when() time.Time }

// Tapped is a tap that policy has permitted.
type Tapped struct {
	At         time.Time
	Reader     gateway.ReaderID
	Origin     gateway.Origin
	Clinician  gateway.ClinicianID
	Assurance  gateway.Assurance
	Terms      map[gateway.PhoneID]gateway.Terms // of every phone the tap may end at
	Policy     gateway.Digest
	Presented  gateway.PhoneID   // the phone in this reader's slot or presented to it, if any
	TakeOver   gateway.PhoneID   // the phone chosen at the station for this tap, if any
	Candidates []gateway.PhoneID // free phones by the registry's rule, best first; the presented one only if it is fit
	Durations  gateway.Durations
}

// Denied is a tap that identify or decide refused, or that was too old. Clinician is empty where nobody was found.
type Denied struct {
	At        time.Time
	Reader    gateway.ReaderID
	Origin    gateway.Origin
	Clinician gateway.ClinicianID
	Assurance gateway.Assurance
	Policy    gateway.Digest
	Reason    gateway.Reason
	Durations gateway.Durations
}

// Answered is a phone's receipt.
type Answered struct {
	At      time.Time
	Receipt gateway.Receipt
}

// Seen is a phone's signed hello on a new link.
type Seen struct {
	At    time.Time
	Phone gateway.PhoneID
	Truth gateway.Truth
}

// Gone is the end of a phone's link.
type Gone struct {
	At    time.Time
	Phone gateway.PhoneID
}

// PickedUp is a phone's word that its session is in use: it left its dock, was used in it, or was handed over in hand.
type PickedUp struct {
	At    time.Time
	Phone gateway.PhoneID
}

// Docked is a phone's word that it came into a dock after it had stood outside one in its session. A phone that is used
// in its dock never says so.
type Docked struct {
	At    time.Time
	Phone gateway.PhoneID
}

// Deadline says that a timer of a phone may be due. A late or wrong one changes nothing.
type Deadline struct {
	At    time.Time
	Phone gateway.PhoneID
	Timer Timer
}

// Barred says that people may no longer act here: their sessions end.
type Barred struct {
	At         time.Time
	Clinicians []gateway.ClinicianID
}

// Withdrawn says that a phone is given to nobody any more: what it shows is ended, and nobody waits for it.
type Withdrawn struct {
	At     time.Time
	Phone  gateway.PhoneID
	Reason gateway.Reason
}

// Ordered is an operator's release of a phone; the way out of quarantine.
type Ordered struct {
	At       time.Time
	Phone    gateway.PhoneID
	Operator string
}

// Exhausted says that nothing can be written any more: whoever waits is refused, for nothing is given without a record.
type Exhausted struct{ At time.Time }

// Added is a phone that was paired; Removed one that was forgotten. A phone whose key is another is both: what was known
// about the former one is not true of it.
type Added struct {
	At    time.Time
	Phone gateway.PhoneID
}

// Removed is refused by the engine unless CanRemove.
type Removed struct {
	At    time.Time
	Phone gateway.PhoneID
}

// Restarted is the first event after the state was read from the store. SameBoot says that the machine itself did
// not restart, so that deadlines still mean what they meant.
type Restarted struct {
	At       time.Time
	SameBoot bool
}

func (e Tapped) when() time.Time    { return e.At }
func (e Denied) when() time.Time    { return e.At }
func (e Answered) when() time.Time  { return e.At }
func (e Seen) when() time.Time      { return e.At }
func (e Gone) when() time.Time      { return e.At }
func (e PickedUp) when() time.Time  { return e.At }
func (e Docked) when() time.Time    { return e.At }
func (e Deadline) when() time.Time  { return e.At }
func (e Barred) when() time.Time    { return e.At }
func (e Withdrawn) when() time.Time { return e.At }
func (e Ordered) when() time.Time   { return e.At }
func (e Exhausted) when() time.Time { return e.At }
func (e Added) when() time.Time     { return e.At }
func (e Removed) when() time.Time   { return e.At }
func (e Restarted) when() time.Time { return e.At }

// Effect is what must be done about an event: Record before anything else, in the same commit as the state.
type Effect interface{ effect() }

// Record is an audit leaf to be.
type Record struct{ gateway.Record }

// Send is a command for a phone.
type Send struct{ gateway.Command }

// Tell is feedback for whoever tapped.
type Tell struct{ gateway.Feedback }

func (Record) effect() {}
func (Send) effect()   {}
func (Tell) effect()   {}

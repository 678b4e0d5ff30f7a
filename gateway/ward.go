package gateway

import "time"

// Ward is a picture of everything the station shows, at one moment. The engine makes a new one after every commit;
// nobody changes one.
type Ward struct {
	Box     BoxID           `json:"box"`
	Key     Fingerprint     `json:"key"` // of the box's links
	Name    string          `json:"ward"`
	Made    time.Time       `json:"made"`
	Phones  []WardPhone     `json:"phones"`     // ordered by id
	Seen    []Candidate     `json:"candidates"` // found but not paired
	Readers []WardReader    `json:"readers"`    // ordered by id
	Taps    []WardTap       `json:"taps"`       // newest first, at most 20
	Armed   *WardArmed      `json:"armed,omitempty"`
	Policy  WardPolicy      `json:"policy"`
	Revoked WardRevocations `json:"revoked"`
	Log     WardLog         `json:"log"`
	Clock   string          `json:"clock"` // "synchronised", "not-synchronised", "unknown"
	Storage Storage         `json:"storage"`
	Up      time.Duration   `json:"up"`

	Uplink
}

// WardPhone is a paired phone as the station shows it.
type WardPhone struct {
	ID       PhoneID     `json:"id"`
	Class    Class       `json:"class"`
	Pool     string      `json:"pool"`
	Phase    string      `json:"phase"` // session.Phase in words
	Locked   bool        `json:"locked"`
	Holder   string      `json:"holder,omitempty"` // the name to show
	HolderID ClinicianID `json:"holder_id,omitempty"`
	Next     string      `json:"next,omitempty"` // who gets it when this hand-off is through
	Since    time.Time   `json:"since,omitzero"`
	LeaseEnd time.Time   `json:"lease_end,omitzero"`
	Reason   Reason      `json:"reason,omitempty"`
	Fence    Fence       `json:"fence"`
	Linked   bool        `json:"linked"`
	Healthy  bool        `json:"healthy"`
	Battery  int         `json:"battery"` // per cent; -1 unknown
	Charging bool        `json:"charging"`
	Slot     string      `json:"slot,omitempty"`
}

// Candidate is a phone found over mDNS that nobody paired; it gets nothing.
type Candidate struct {
	Name    string      `json:"name"`
	Key     Fingerprint `json:"key"` // as advertised, unproven
	Address string      `json:"address"`
}

// WardReader is a reader as the station shows it.
type WardReader struct {
	ID    ReaderID    `json:"id"`
	State ReaderState `json:"state"`
	Since time.Time   `json:"since,omitzero"`
	Note  string      `json:"note,omitempty"`
}

// WardTap is a tap and what came of it.
type WardTap struct {
	At     time.Time `json:"at"`
	Reader ReaderID  `json:"reader"`
	Who    string    `json:"who,omitempty"` // the name to show; empty where unknown
	Signal Signal    `json:"signal"`
	Reason Reason    `json:"reason"`
	Phone  PhoneID   `json:"phone,omitempty"`
}

// WardArmed is a take-over that waits for its tap.
type WardArmed struct {
	Reader ReaderID  `json:"reader"`
	Phone  PhoneID   `json:"phone"`
	Until  time.Time `json:"until"`
}

// WardPolicy is the standing of the policy in force.
type WardPolicy struct {
	Loaded  bool      `json:"loaded"`
	Version uint64    `json:"version"`
	Digest  Digest    `json:"digest"`
	Signed  bool      `json:"signed"` // by both departments
	Since   time.Time `json:"since,omitzero"`
}

// WardLog is the standing of the audit log.
type WardLog struct {
	Size int64  `json:"size"`
	Root Digest `json:"root"`
}

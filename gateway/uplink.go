package gateway

import "time"

// Uplink is how the box stands with the hospital's hub. In JSON it lies flat in Ward, where "uplink" is its state.
type Uplink struct {
	State UplinkState `json:"uplink"`
	Since time.Time   `json:"uplink_since,omitzero"` // of the state, by the box's clock
	Why   string      `json:"uplink_why,omitempty"`  // not all is well: the reason in words
	Code  string      `json:"uplink_code,omitempty"` // joining: to be compared with the one that the hub shows

	Waiting int64     `json:"uplink_waiting,omitempty"` // records that the hospital has not said it has stored; joining: not counted yet
	Oldest  time.Time `json:"uplink_oldest,omitzero"`   // when the oldest of them was committed
	Trouble string    `json:"uplink_trouble,omitempty"` // why records stay here until a person has looked

	// Heard is when the hub signed the newest revocations that came, by its clock: what it took away until then is known here.
	Heard time.Time `json:"uplink_heard,omitzero"`

	CertificateEnds time.Time `json:"uplink_certificate_ends,omitzero"`
}

// UplinkState is a state in words.
type UplinkState string

const (
	NoUplink        UplinkState = "none configured"
	UplinkJoining   UplinkState = "asks to join"
	UplinkConnected UplinkState = "connected"
	UplinkCutOff    UplinkState = "cut off"
)

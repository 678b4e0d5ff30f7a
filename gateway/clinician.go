package gateway

import (
	"log/slog"
	"time"
)

// ClinicianID is the hospital's pseudonymous number for a person. It stays out of logs: the audit log is the evidence.
type ClinicianID string

func (ClinicianID) LogValue() slog.Value { return slog.StringValue(redacted) }

// Clinician is a person who may act on this ward, as the roster has them.
type Clinician struct {
	ID      ClinicianID
	Name    string // shown on the phone and at the station, nowhere else
	Role    string
	Wards   []string
	Badges  []BadgeHash
	Expires time.Time // zero: does not
	Revoked bool
}

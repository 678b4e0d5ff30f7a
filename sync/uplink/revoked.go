package uplink

import (
	"encoding/json"
	"fmt"

	"tapward/gateway"
)

// Target is what a revocation takes away from whom.
type Target = gateway.RevocationTarget

const (
	Clinician = gateway.RevokesClinician
	Badge     = gateway.RevokesBadge
	Phone     = gateway.RevokesPhone
)

// Revocation is one decision to take something away.
type Revocation = gateway.Revocation

// Revoked is the body of a release of Revocations: all of them that still matter, oldest first, so that a box that was
// deaf for a hundred of them lacks nothing once it hears one. Through is the number of the newest one ever given, and the
// release's Version.
type Revoked struct {
	Through uint64       `json:"through"`
	List    []Revocation `json:"list"`
}

// ParseRevoked reads the body of a release.
func ParseRevoked(body []byte) (Revoked, error) {
	var r Revoked
	if err := strictJSON(body, MaxRelease, &r); err != nil {
		return Revoked{}, fmt.Errorf("read revocations: %w", err)
	}
	var last uint64
	for _, v := range r.List {
		if v.Number <= last || v.Number > r.Through {
			return Revoked{}, fmt.Errorf("read revocations: number %d stands after %d, of %d", v.Number, last, r.Through)
		}
		if v.Target != Clinician && v.Target != Badge && v.Target != Phone || v.ID == "" {
			return Revoked{}, fmt.Errorf("read revocations: number %d takes nothing from anybody", v.Number)
		}
		last = v.Number
	}
	return r, nil
}

// Encode gives the bytes that ParseRevoked takes.
func (r Revoked) Encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode revocations: %w", err)
	}
	return b, nil
}

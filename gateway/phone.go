package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// PhoneID is the label on the phone's back ("phone-07"), given when it is paired.
type PhoneID string

// Class decides a phone's session life; the policy gives each its parameters.
type Class string

const (
	Convenience Class = "convenience"
	Workflow    Class = "workflow"
	Privileged  Class = "privileged"
)

// Classes is every Class.
var Classes = []Class{Convenience, Workflow, Privileged}

// Phone is a phone that was paired with this box: its pinned key and where it belongs.
type Phone struct {
	ID    PhoneID     `json:"id"`
	Key   Fingerprint `json:"key"`
	Class Class       `json:"class"`
	Pool  string      `json:"pool"`
	Addrs []string    `json:"addrs,omitempty"` // host:port fall-backs where multicast does not reach
}

// Fingerprint is SHA-256 over a DER SubjectPublicKeyInfo: the identity of a box or a phone on the link.
type Fingerprint [sha256.Size]byte

// FingerprintOf hashes a DER SubjectPublicKeyInfo.
func FingerprintOf(spki []byte) Fingerprint { return sha256.Sum256(spki) }

// String shows the fingerprint in groups of four hex digits, as two screens show it for comparison.
func (f Fingerprint) String() string {
	digits := hex.EncodeToString(f[:])
	var groups []string
	for i := 0; i < len(digits); i += 4 {
		groups = append(groups, digits[i:i+4])
	}
	return strings.Join(groups, "-")
}

// IsZero says that no key is known.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }

// MarshalText writes the form of String.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads hex digits with or without the dashes and spaces people type.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	digits := strings.NewReplacer("-", "", " ", "", ":", "").Replace(strings.ToLower(string(text)))
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != len(f) {
		return fmt.Errorf("fingerprint: want %d hex digits in any grouping, have %q", 2*len(f), text)
	}
	copy(f[:], raw)
	return nil
}

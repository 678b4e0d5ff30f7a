package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Fence is a phone's counter of accepted commands. It rises by exactly one with each, durably before the phone acts;
// every command names the value it expects and the next, so a late or repeated one cannot be obeyed.
type Fence uint64

// LastFence is the end of the counter. No command leads past it, so a phone that says it stands there is not believed.
const LastFence = ^Fence(0)

// BoxID names a ward box at its site.
type BoxID string

// Custody numbers one passage of responsibility on a box: a check-out, or a hand-off with the release, the cleared
// receipt and the bind that belong together. It rises and is never used twice.
type Custody uint64

// Digest is SHA-256 of a grant's canonical bytes; with phone, fence and box it is the identity of a binding.
type Digest [sha256.Size]byte

func (d Digest) IsZero() bool                 { return d == Digest{} }
func (d Digest) String() string               { return hex.EncodeToString(d[:]) }
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 64 hex digits; the empty text is the zero digest.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Digest{}
		return nil
	}
	if len(text) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("digest: want %d hex digits, have %d characters", hex.EncodedLen(len(d)), len(text))
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// Terms bound a session's life and the waits around it. The policy sets them per device class.
type Terms struct {
	Lease   time.Duration `json:"lease"`   // the phone locks itself when this passes without a renewal
	Idle    time.Duration `json:"idle"`    // the phone locks itself when nobody touches it for this long
	Limit   time.Duration `json:"limit"`   // no renewal reaches past this; a new tap starts a new session
	Drift   time.Duration `json:"drift"`   // how much later than the phone the box believes a lease ended
	Bind    time.Duration `json:"bind"`    // an unlock not confirmed by then is taken back
	Release time.Duration `json:"release"` // a release not confirmed by then quarantines the phone
	Pickup  time.Duration `json:"pickup"`  // a phone not picked up by then is rolled back
	Return  time.Duration `json:"return"`  // a second tap within this returns a presented phone
}

// Grant is the box's permission for one session on one phone. The box signs it and the phone keeps it.
type Grant struct {
	Box       BoxID       `json:"box"`
	Phone     PhoneID     `json:"phone"`
	Fence     Fence       `json:"fence"` // of the bind that carries it
	Custody   Custody     `json:"custody"`
	Clinician ClinicianID `json:"clinician"`
	Policy    Digest      `json:"policy"` // of the policy that permitted it
	Lease     int64       `json:"lease_s"`
	Idle      int64       `json:"idle_s"`
	Limit     int64       `json:"limit_s"`
}

// Canonical is the byte form that is signed and hashed: JSON with the fields in the order above, no white space and
// no HTML escapes beyond encoding/json's own.
func (g Grant) Canonical() []byte {
	b, err := json.Marshal(g)
	if err != nil {
		panic(err) // strings and integers always encode
	}
	return b
}

// Digest identifies the grant.
func (g Grant) Digest() Digest { return sha256.Sum256(g.Canonical()) }

// CommandKind is what a box can ask of a phone.
type CommandKind uint8

const (
	NoCommand CommandKind = iota
	Bind                  // open a session
	Renew                 // extend the lease, and unlock if asked
	Lock                  // lock; custody stays
	Release               // close the session, clear it and verify
)

var commandKinds = [...]string{"none", "bind", "renew", "lock", "release"}

func (k CommandKind) String() string               { return name(commandKinds[:], int(k)) }
func (k CommandKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
func (k *CommandKind) UnmarshalText(text []byte) error {
	return parse(commandKinds[:], "command", text, k)
}

// Command is one compare-and-set order to a phone: obeyed only where the phone's fence is Expect, which then is Next.
type Command struct {
	Kind   CommandKind `json:"kind"`
	Phone  PhoneID     `json:"phone"`
	Expect Fence       `json:"expect"`
	Next   Fence       `json:"next"`
	Grant  Grant       `json:"grant"`            // Bind: the new grant. Others: the grant the command is about, zero where none
	Unlock bool        `json:"unlock,omitempty"` // Renew: unlock too, because the holder tapped
	Reason Reason      `json:"reason,omitempty"` // Lock and Release: what the phone's screen says
}

// ReceiptKind is what a phone can confirm under its own signature.
type ReceiptKind uint8

const (
	Bound       ReceiptKind = iota + 1 // the session is open
	Renewed                            // the lease runs anew
	Locked                             // locked, on command or by the phone itself
	Cleared                            // the session is closed and the verify step found nothing of it
	ClearFailed                        // the session is closed to its holder but something of it is left
	Declined                           // the command was not obeyed; Truth says where the phone stands
)

var receiptKinds = [...]string{"none", "bound", "renewed", "locked", "cleared", "clear-failed", "declined"}

func (k ReceiptKind) String() string               { return name(receiptKinds[:], int(k)) }
func (k ReceiptKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
func (k *ReceiptKind) UnmarshalText(text []byte) error {
	return parse(receiptKinds[:], "receipt", text, k)
}

// Truth is where a phone says, under its signature, that it stands. A zero Grant means: no session, nothing to show.
type Truth struct {
	Fence  Fence  `json:"fence"`
	Box    BoxID  `json:"box,omitempty"` // whose grant it holds
	Grant  Digest `json:"grant"`
	Locked bool   `json:"locked"`
}

// Receipt is a phone's signed answer to a command, or (Locked, with Next zero) its word that it locked itself.
type Receipt struct {
	Kind   ReceiptKind `json:"kind"`
	Phone  PhoneID     `json:"phone"`
	Next   Fence       `json:"next"` // of the command it answers; zero where the phone acted by itself
	Truth  Truth       `json:"truth"`
	Reason Reason      `json:"reason,omitempty"`
	Signed string      `json:"-"` // the phone's JWS, for the audit log
}

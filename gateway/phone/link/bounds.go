package link

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"

	"tapward/gateway"
)

// Bounds of single members, in bytes of UTF-8. docs/phone-protocol.md and its schemas state the same.
const (
	MaxNonce       = 64   // nonces, challenges, command ids
	MaxWord        = 64   // ids of boxes, phones, readers and slots, reasons, boot ids, agent names
	MaxName        = 128  // the name a phone shows
	MaxSentence    = 256  // the words a phone's screen says
	MaxCheckpoint  = 1024 // one audit checkpoint
	MaxCheckpoints = 8    // boxes whose checkpoints a hello returns
)

// NewNonce makes 16 random bytes in base64url: a nonce, a challenge or a command's id.
func NewNonce() string {
	var raw [16]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// bound is one member with the lengths it may have.
type bound struct {
	member   string
	value    string
	min, max int
}

func within(bounds ...bound) error {
	for _, b := range bounds {
		if len(b.value) < b.min || len(b.value) > b.max {
			return fmt.Errorf("%s has %d bytes, want %d to %d", b.member, len(b.value), b.min, b.max)
		}
		if !utf8.ValidString(b.value) {
			return fmt.Errorf("%s is not UTF-8", b.member)
		}
	}
	return nil
}

// errSpent refuses the word of a phone that no command could ever follow: the next fence would be 0.
var errSpent = errors.New("truth.fence is the last there is")

func (m Greet) check() error {
	return within(
		bound{"box", string(m.Box), 1, MaxWord},
		bound{"nonce", m.Nonce, 16, MaxNonce},
		bound{"checkpoint", m.Checkpoint, 0, MaxCheckpoint})
}

func (m Hello) check() error {
	return within(
		bound{"signed", m.Signed, 1, MaxMessage},
		bound{"challenge", m.Challenge, 16, MaxNonce},
		bound{"agent", m.Agent, 0, MaxWord})
}

func (m Order) check() error {
	if m.Kind == gateway.NoCommand {
		return fmt.Errorf("kind is missing")
	}
	if (m.Kind == gateway.Bind) != (m.Grant != "") {
		return fmt.Errorf("a bind carries a grant, and nothing else does")
	}
	if m.Next == 0 {
		return fmt.Errorf("next is missing")
	}
	if m.Lease < 0 {
		return fmt.Errorf("lease_s is negative")
	}
	return within(
		bound{"id", m.ID, 16, MaxNonce},
		bound{"challenge", m.Challenge, 16, MaxNonce},
		bound{"grant", m.Grant, 0, MaxMessage},
		bound{"name", m.Name, 0, MaxName},
		bound{"reason", string(m.Reason), 0, MaxWord},
		bound{"sentence", m.Sentence, 0, MaxSentence},
		bound{"checkpoint", m.Checkpoint, 0, MaxCheckpoint})
}

func (m ReceiptMessage) check() error {
	return within(
		bound{"id", m.ID, 0, MaxNonce},
		bound{"signed", m.Signed, 1, MaxMessage},
		bound{"challenge", m.Challenge, 16, MaxNonce})
}

func (m StatusMessage) check() error {
	if m.Battery < -1 || m.Battery > 100 {
		return fmt.Errorf("battery is %d, want 0 to 100, or -1 for unknown", m.Battery)
	}
	return within(
		bound{"challenge", m.Challenge, 16, MaxNonce},
		bound{"slot", m.Slot, 0, MaxWord},
		bound{"presented", string(m.Presented), 0, MaxWord})
}

func (m Ping) check() error { return nil }

func (m Ack) check() error { return within(bound{"checkpoint", m.Checkpoint, 0, MaxCheckpoint}) }

func (c HelloClaims) check() error {
	if len(c.Checkpoints) > MaxCheckpoints {
		return fmt.Errorf("checkpoints of %d boxes, at most %d are allowed", len(c.Checkpoints), MaxCheckpoints)
	}
	for box, checkpoint := range c.Checkpoints {
		if err := within(bound{"box", string(box), 1, MaxWord}, bound{"checkpoint", checkpoint, 1, MaxCheckpoint}); err != nil {
			return err
		}
	}
	if c.Truth.Grant.IsZero() != (c.Held == "") {
		return fmt.Errorf("held goes with a grant in the truth, and only with one")
	}
	if c.LeaseLeft < 0 {
		return fmt.Errorf("lease_left_s is negative")
	}
	if c.Truth.Fence == gateway.LastFence {
		return errSpent
	}
	return within(
		bound{"phone", string(c.Phone), 1, MaxWord},
		bound{"nonce", c.Nonce, 16, MaxNonce},
		bound{"boot_id", c.BootID, 1, MaxWord},
		bound{"truth.box", string(c.Truth.Box), 0, MaxWord})
}

func (c ReceiptClaims) check() error {
	if c.Kind < gateway.Bound || c.Kind > gateway.Declined {
		return fmt.Errorf("kind is missing")
	}
	if (c.Command == "") != (c.Next == 0) || c.Command == "" && c.Kind != gateway.Locked {
		return fmt.Errorf("only a lock of the phone's own goes without a command, and then next is 0")
	}
	if c.Truth.Fence == gateway.LastFence {
		return errSpent
	}
	return within(
		bound{"phone", string(c.Phone), 1, MaxWord},
		bound{"command", c.Command, 0, MaxNonce},
		bound{"reason", string(c.Reason), 0, MaxWord},
		bound{"boot_id", c.BootID, 1, MaxWord},
		bound{"truth.box", string(c.Truth.Box), 0, MaxWord})
}

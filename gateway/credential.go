package gateway

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// CredentialKind says how a number was obtained, so that equal bytes read by two technologies stay two credentials.
type CredentialKind string

const (
	UID  CredentialKind = "uid"  // ISO 14443 / 15693 identifier, as reported over PC/SC
	EM   CredentialKind = "em"   // 125 kHz 5-byte number (RDM6300, ID-12LA)
	Line CredentialKind = "line" // digits of a reader that sends text (rf IDEAS, generic lines)
)

// Credential is what a badge claims to be. It never prints itself: every format verb, slog and every encoder of text or
// JSON gets the word "redacted". The number sits behind a pointer, so that printing a struct around it shows none of it
// either.
type Credential struct {
	kind   CredentialKind
	number *[]byte
}

// NewCredential copies number.
func NewCredential(kind CredentialKind, number []byte) Credential {
	n := bytes.Clone(number)
	return Credential{kind, &n}
}

// Kind is the technology the number was read with.
func (c Credential) Kind() CredentialKind { return c.kind }

// IsZero says that nothing was read.
func (c Credential) IsZero() bool { return c.number == nil || len(*c.number) == 0 }

// Equal compares kind and number.
func (c Credential) Equal(d Credential) bool {
	return c.kind == d.kind && c.IsZero() == d.IsZero() && (c.IsZero() || hmac.Equal(*c.number, *d.number))
}

// BadgeKey keys the hash of badge numbers. It lives outside the database; destroying it forgets the site's badges.
type BadgeKey [32]byte

// ParseBadgeKey reads the form in which the key is kept: base64.
func ParseBadgeKey(text []byte) (key BadgeKey, err error) {
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(raw) != len(key) {
		return key, fmt.Errorf("it must be %d bytes in base64", len(key)) // never the decoder's words about a key
	}
	copy(key[:], raw)
	return key, nil
}

const redacted = "redacted"

func (BadgeKey) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (BadgeKey) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (BadgeKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// BadgeHash is the only form in which a badge number is stored: HMAC-SHA-256 of kind and number under a BadgeKey.
type BadgeHash [sha256.Size]byte

// Hash is the keyed hash that rosters are looked up by.
func (c Credential) Hash(key BadgeKey) BadgeHash {
	mac := hmac.New(sha256.New, key[:])
	fmt.Fprintf(mac, "tapward badge v1\n%s\n", c.kind)
	if !c.IsZero() {
		mac.Write(*c.number)
	}
	return BadgeHash(mac.Sum(nil))
}

// String is lower-case hex, the form used in rosters.
func (h BadgeHash) String() string { return hex.EncodeToString(h[:]) }

// UnmarshalText reads the hex form.
func (h *BadgeHash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("badge hash: want %d hex digits, have %d characters", hex.EncodedLen(len(h)), len(text))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("badge hash: %w", err)
	}
	return nil
}

// MarshalText writes the hex form.
func (h BadgeHash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

func (Credential) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (Credential) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Credential) MarshalText() ([]byte, error) { return []byte(redacted), nil }

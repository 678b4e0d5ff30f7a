package claim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// NonceSize is the length of both sides' nonces.
const NonceSize = 32

// digest hashes parts under a name, each with its length before it, so that no two lists of parts hash alike.
func digest(name string, parts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, p := range append([][]byte{[]byte("tapward claim v1 " + name)}, parts...) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write(p)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Commitment binds the newcomer to a nonce and its keys before it shows them.
func Commitment(nonce []byte, k Keys) [sha256.Size]byte {
	return digest("commitment", append([][]byte{nonce}, k.parts()...)...)
}

// Transcript is the whole conversation: the first two messages as the bytes that travelled, and what was revealed.
type Transcript struct {
	Commit, Offer []byte
	Nonce         []byte
	Keys          Keys
}

func (t Transcript) digest(name string) [sha256.Size]byte {
	return digest(name, append([][]byte{t.Commit, t.Offer, t.Nonce}, t.Keys.parts()...)...)
}

// Code is the short code of a claim, eight digits.
type Code string

// Code derives what a person compares on both sides.
func (t Transcript) Code() Code {
	d := t.digest("code")
	return Code(fmt.Sprintf("%08d", binary.BigEndian.Uint64(d[:8])%100_000_000))
}

// String shows the code as two groups of four.
func (c Code) String() string {
	if len(c) != 8 {
		return string(c)
	}
	return string(c[:4] + " " + c[4:])
}

// ParseCode reads a code as people type it.
func ParseCode(text string) (Code, error) {
	digits := strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(text)
	if len(digits) != 8 || strings.Trim(digits, "0123456789") != "" {
		return "", fmt.Errorf("code %q is not eight digits", text)
	}
	return Code(digits), nil
}

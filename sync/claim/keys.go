package claim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
)

// Keys are the public halves that a newcomer brings. Its secrets never leave it.
type Keys struct {
	TLS  []byte              `json:"tls"`           // SubjectPublicKeyInfo, P-256: its connections to the hub
	Link gateway.Fingerprint `json:"link"`          // its links: of a box to phones, of a phone to boxes
	Log  string              `json:"log,omitempty"` // signed-note verifier key of a box's audit log; a phone has none
}

func (k Keys) parts() [][]byte { return [][]byte{k.TLS, k.Link[:], []byte(k.Log)} }

// Fingerprint is that of the TLS key.
func (k Keys) Fingerprint() gateway.Fingerprint { return gateway.FingerprintOf(k.TLS) }

// Valid says why these cannot be the keys of s.
func (k Keys) Valid(s Subject) error {
	public, err := x509.ParsePKIXPublicKey(k.TLS)
	if err != nil {
		return errors.New("the TLS key cannot be read")
	}
	if p256, ok := public.(*ecdsa.PublicKey); !ok || p256.Curve != elliptic.P256() {
		return errors.New("the TLS key is not a P-256 key")
	}
	if k.Link.IsZero() {
		return errors.New("the link key is missing")
	}
	if k.Link == k.Fingerprint() && s.Kind == Box {
		return errors.New("one key serves as TLS key and as link key: each must be its own")
	}
	if s.Kind == Phone {
		if k.Log != "" {
			return errors.New("a phone has no audit log, and so no log key")
		}
		return nil
	}
	log, err := note.NewVerifier(k.Log)
	if err != nil {
		return errors.New("the log key cannot be read")
	}
	if want := logName(s); log.Name() != want {
		return fmt.Errorf("the log key is of %q, not of %q", log.Name(), want)
	}
	return nil
}

// logName is what a box's log key is called (gateway/audit).
func logName(s Subject) string { return "tapward/" + s.ID }

// proofText is what the log key signs to show that its secret is there. No checkpoint has such a first line.
func (t Transcript) proofText() string {
	d := t.digest("proof")
	return "tapward-claim/v1\n" + base64.StdEncoding.EncodeToString(d[:]) + "\n"
}

// SignProof shows, once the hub's nonce is known, that the newcomer holds the secret of its log key.
func (t Transcript) SignProof(log note.Signer) (string, error) {
	signed, err := note.Sign(&note.Note{Text: t.proofText()}, log)
	if err != nil {
		return "", fmt.Errorf("sign with the log key: %w", err)
	}
	return string(signed), nil
}

// CheckProof is the other side of SignProof.
func (t Transcript) CheckProof(proof string) error {
	log, err := note.NewVerifier(t.Keys.Log)
	if err != nil {
		return errors.New("the log key cannot be read")
	}
	n, err := note.Open([]byte(proof), note.VerifierList(log))
	if err != nil {
		return errors.New("the log key did not sign this claim")
	}
	if n.Text != t.proofText() {
		return errors.New("the log key signed something else than this claim")
	}
	return nil
}

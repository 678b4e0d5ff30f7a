package claim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"tapward/gateway"
)

// Expected is a list of boxes that somebody with an administrator's key announced: each may ask until Expires, and each
// is still confirmed by a person who compares its code.
type Expected struct {
	Site    string        `json:"site"`
	Issued  time.Time     `json:"issued"`
	Expires time.Time     `json:"expires"`
	Boxes   []ExpectedBox `json:"boxes"`
}

// ExpectedBox is one of them. Link, where the box was started before it was packed, pins its link key.
type ExpectedBox struct {
	Kind Kind                `json:"kind"`
	ID   string              `json:"id"`
	Ward string              `json:"ward"`
	Link gateway.Fingerprint `json:"link,omitzero"`
}

// Limits of a list.
const (
	MaxExpected      = 1 << 20 // bytes, signed
	MaxExpectedBoxes = 2000
	MaxExpectedTime  = 90 * 24 * time.Hour
)

const expectedType = "application/vnd.tapward.expected.v1+json"

// SignExpected makes the DSSE envelope that OpenExpected takes.
func SignExpected(e Expected, key ed25519.PrivateKey) ([]byte, error) {
	out, err := signExpected(e, key)
	if err != nil {
		return nil, fmt.Errorf("sign the list of expected boxes: %w", err)
	}
	return out, nil
}

func signExpected(e Expected, key ed25519.PrivateKey) ([]byte, error) {
	if err := e.valid(); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	signer, err := dsse.NewEnvelopeSigner(adminKey{public: key.Public().(ed25519.PublicKey), secret: key})
	if err != nil {
		return nil, err
	}
	envelope, err := signer.SignPayload(context.Background(), expectedType, payload)
	if err != nil {
		return nil, err
	}
	out, err := json.Marshal(envelope)
	if err == nil && len(out) > MaxExpected {
		err = fmt.Errorf("%d bytes are more than %d: split the list", len(out), MaxExpected)
	}
	return out, err
}

// OpenExpected checks that one of the administrators' keys signed the list. Whether it is still in force is for the
// caller.
func OpenExpected(in []byte, admins []ed25519.PublicKey) (Expected, error) {
	e, err := openExpected(in, admins)
	if err != nil {
		return Expected{}, fmt.Errorf("open the list of expected boxes: %w", err)
	}
	return e, nil
}

func openExpected(in []byte, admins []ed25519.PublicKey) (e Expected, err error) {
	var envelope dsse.Envelope
	if err := strict(in, MaxExpected, &envelope); err != nil {
		return e, err
	}
	if envelope.PayloadType != expectedType {
		return e, fmt.Errorf("it is a %q", envelope.PayloadType)
	}
	var keys []dsse.Verifier
	for _, public := range admins {
		keys = append(keys, adminKey{public: public})
	}
	verifier, err := dsse.NewEnvelopeVerifier(keys...)
	if err != nil {
		return e, err
	}
	_, payload, err := verifier.VerifyAndDecode(context.Background(), &envelope)
	if err != nil {
		return e, err
	}
	if err := strict(payload, MaxExpected, &e); err != nil {
		return e, err
	}
	return e, e.valid()
}

func (e Expected) valid() error {
	if e.Issued.IsZero() || !e.Expires.After(e.Issued) || e.Expires.Sub(e.Issued) > MaxExpectedTime {
		return fmt.Errorf("it must end after it begins, within %d days", MaxExpectedTime/(24*time.Hour))
	}
	if len(e.Boxes) == 0 || len(e.Boxes) > MaxExpectedBoxes {
		return fmt.Errorf("it must name 1 to %d boxes, not %d", MaxExpectedBoxes, len(e.Boxes))
	}
	seen := map[Subject]bool{}
	for _, b := range e.Boxes {
		s := Subject{b.Kind, e.Site, b.ID}
		if err := s.Valid(); err != nil {
			return err
		}
		if !gateway.ValidLabel(b.Ward) {
			return fmt.Errorf("ward %q of %s must be %s", b.Ward, s, gateway.LabelRule)
		}
		if seen[s] {
			return fmt.Errorf("%s stands twice", s)
		}
		seen[s] = true
	}
	return nil
}

// adminKey is an administrator's Ed25519 key as DSSE wants it; secret is nil where it only verifies.
type adminKey struct {
	public ed25519.PublicKey
	secret ed25519.PrivateKey
}

func (k adminKey) KeyID() (string, error) { return dsse.SHA256KeyID(k.public) }

func (k adminKey) Public() crypto.PublicKey { return k.public }

func (k adminKey) Sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(k.secret, message), nil
}

func (k adminKey) Verify(_ context.Context, message, signature []byte) error {
	if len(k.public) != ed25519.PublicKeySize || !ed25519.Verify(k.public, message, signature) {
		return errors.New("no administrator's key that this hub knows signed it")
	}
	return nil
}

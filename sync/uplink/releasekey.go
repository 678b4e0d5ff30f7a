package uplink

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// releaseKey is an Ed25519 key as DSSE wants it; secret is nil where it only verifies.
type releaseKey struct {
	public ed25519.PublicKey
	secret ed25519.PrivateKey
}

func (k releaseKey) KeyID() (string, error) { return dsse.SHA256KeyID(k.public) }

func (k releaseKey) Public() crypto.PublicKey { return k.public }

func (k releaseKey) Sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(k.secret, message), nil
}

func (k releaseKey) Verify(_ context.Context, message, signature []byte) error {
	if len(k.public) != ed25519.PublicKeySize || !ed25519.Verify(k.public, message, signature) {
		return errors.New("it was not signed with the hub's release key")
	}
	return nil
}

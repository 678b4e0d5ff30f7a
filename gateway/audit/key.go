package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
)

// CheckKeyName says what is wrong, and what to do, where the log key of that name is not the box's own.
func CheckKeyName(name string, box gateway.BoxID) error {
	if want := originPrefix + string(box); name != want {
		return fmt.Errorf("it is the log key of %q and this box needs that of %q: set the box's name to the one the key was made for, "+
			"or put this box's own key there; `tapward keys` makes one where none is", name, want)
	}
	return nil
}

// PublicKey derives the public half of a log key, for whoever holds the secret and must open the box's own checkpoints.
func PublicKey(secret string) (string, error) {
	signer, err := note.NewSigner(secret)
	if err != nil {
		return "", fmt.Errorf("derive the log's public key: %w", err)
	}
	// PRIVATE+KEY+<name>+<hash>+<base64 of the algorithm's byte and the seed>; NewSigner has checked it.
	parts := strings.SplitN(secret, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return "", errors.New("derive the log's public key: the secret is no Ed25519 key")
	}
	public, ok := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("derive the log's public key: the secret is no Ed25519 key")
	}
	return note.NewEd25519VerifierKey(signer.Name(), public)
}

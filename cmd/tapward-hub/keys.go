package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway/audit"
	"tapward/gateway/durable"
	"tapward/sync/hub/broker"
	"tapward/sync/hub/enrol/embedded"
	"tapward/sync/hub/journal"
	"tapward/sync/uplink"
	"tapward/systemd"
)

// keys are the hub's secrets, each for one thing. Boxes are told the public halves when they are let in, and these never
// change: a backup of the folder is a backup of the hub's name.
type keys struct {
	ca      *embedded.CA
	broker  broker.Keys
	release ed25519.PrivateKey // of policies and revocations

	log    note.Signer   // of the hub's own log
	public note.Verifier // its other half

	stored   note.Signer // the cosignature that means "stored"
	storedBy string      // its other half, as boxes are told

	accepted   note.Signer // of the log of accepted checkpoints, which witnesses see
	acceptedBy string
	logBy      string
}

// readKeys takes each key from systemd's credentials or from a file in the folder, and makes those that are nowhere.
func readKeys(c Config) (k keys, err error) {
	if err := private(c.Data); err != nil {
		return k, err
	}
	if k.ca, err = embedded.Open(filepath.Join(c.Data, "ca.pem"), c.Site); err != nil {
		return k, err
	}
	if k.broker, err = broker.LoadKeys(filepath.Join(c.Data, "broker-keys.json")); err != nil {
		return k, err
	}
	if k.release, err = releaseKey(c.Data); err != nil {
		return k, err
	}
	secret, public, err := noteKey(c.Data, "log-key", func() (string, string, error) {
		return audit.NewKey(rand.Reader, journal.Box)
	})
	if err != nil {
		return k, err
	}
	k.logBy = public
	if k.log, err = note.NewSigner(secret); err == nil {
		k.public, err = note.NewVerifier(public)
	}
	if err != nil {
		return k, fmt.Errorf("read the log-key: %w", err)
	}
	if secret, k.storedBy, err = noteKey(c.Data, "stored-key", func() (string, string, error) {
		return note.GenerateKey(rand.Reader, "tapward-hub/"+c.Site+"/stored")
	}); err != nil {
		return k, err
	}
	if k.stored, err = uplink.NewStoredSigner(secret); err != nil {
		return k, fmt.Errorf("read the stored-key: %w", err)
	}
	if secret, k.acceptedBy, err = noteKey(c.Data, "accepted-key", func() (string, string, error) {
		return note.GenerateKey(rand.Reader, "tapward-hub/"+c.Site+"/accepted")
	}); err != nil {
		return k, err
	}
	if k.accepted, err = note.NewSigner(secret); err != nil {
		return k, fmt.Errorf("read the accepted-key: %w", err)
	}
	return k, nil
}

// noteKey is a signed-note key: its secret and its public half, on two lines.
func noteKey(folder, name string, generate func() (secret, public string, err error)) (secret, public string, err error) {
	text, err := readKey(folder, name, func() (string, error) {
		secret, public, err := generate()
		return secret + "\n" + public + "\n", err
	})
	if err != nil {
		return "", "", err
	}
	secret, public, ok := strings.Cut(strings.TrimSpace(text), "\n")
	if !ok {
		return "", "", fmt.Errorf("read the %s: it must have two lines, the secret and the public half", name)
	}
	return secret, public, nil
}

func releaseKey(folder string) (ed25519.PrivateKey, error) {
	text, err := readKey(folder, "release-key", func() (string, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return "", err
		}
		return base64.StdEncoding.EncodeToString(key.Seed()) + "\n", nil
	})
	if err != nil {
		return nil, err
	}
	seed, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("read the release-key: it is not an Ed25519 seed in base64")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// readKey reads a key, or makes it; a file that is there is never overwritten.
func readKey(folder, name string, generate func() (string, error)) (string, error) {
	text, err := systemd.Credential(name)
	if !errors.Is(err, systemd.ErrNoCredential) {
		return string(text), err
	}
	path := filepath.Join(folder, name)
	text, err = os.ReadFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return string(text), err
	}
	made, err := generate()
	if err == nil {
		err = durable.Create(path, []byte(made))
	}
	if err != nil {
		return "", fmt.Errorf("make the %s: %w", name, err)
	}
	return made, nil
}

package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/phone/link"
	"tapward/systemd"
)

// secrets are the box's three keys, each for one thing.
type secrets struct {
	link  link.Identity    // to phones
	log   note.Signer      // of checkpoints
	own   note.Verifier    // of the box's own checkpoints, when phones bring them back
	badge gateway.BadgeKey // of badge hashes; the same on every box of the site
}

// readSecrets takes each key from systemd's credentials or, where there are none, from a file of the same name in the
// data folder, as `tapward keys` makes it.
func readSecrets(c Config) (s secrets, err error) {
	var wrong []error
	read := func(name string) []byte {
		text, err := systemd.Credential(name)
		if errors.Is(err, systemd.ErrNoCredential) {
			text, err = os.ReadFile(filepath.Join(c.Data, name))
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("read the %s: %w; `tapward keys --data %s --box %s` makes what is missing", name, err, c.Data, c.Box))
		}
		return text
	}
	linkKey, logKey, badgeKey := read("link-key"), read("log-key"), read("badge-key")
	if err := errors.Join(wrong...); err != nil {
		return s, err
	}
	if s.link, err = link.ParseIdentity(linkKey); err != nil {
		return s, fmt.Errorf("read the link-key: %w", err)
	}
	if s.log, s.own, err = parseLogKey(strings.TrimSpace(string(logKey))); err != nil {
		return s, fmt.Errorf("read the log-key: %w", err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(badgeKey)))
	if err != nil || len(raw) != len(s.badge) {
		return s, fmt.Errorf("read the badge-key: it must be %d bytes in base64", len(s.badge))
	}
	copy(s.badge[:], raw)
	return s, nil
}

func parseLogKey(secret string) (note.Signer, note.Verifier, error) {
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, nil, err
	}
	public, err := audit.PublicKey(secret)
	if err != nil {
		return nil, nil, err
	}
	verifier, err := note.NewVerifier(public)
	return signer, verifier, err
}

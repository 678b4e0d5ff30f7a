package main

import (
	"errors"
	"fmt"
	"io/fs"
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
	link   link.Identity    // to phones
	log    note.Signer      // of checkpoints
	own    note.Verifier    // of the box's own checkpoints, when others bring them back
	public string           // the log key's public half, as own knows it
	badge  gateway.BadgeKey // of badge hashes; the same on every box of the site
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
	if err = s.parseLogKey(strings.TrimSpace(string(logKey)), c.Box); err != nil {
		return s, fmt.Errorf("read the log-key: %w", err)
	}
	if s.badge, err = gateway.ParseBadgeKey(badgeKey); err != nil {
		return s, fmt.Errorf("read the badge-key: %w", err)
	}
	return s, nil
}

// checkSecrets says what is wrong with the keys, where whoever checks can read them: sealed ones only the service can.
func checkSecrets(c Config) error {
	_, err := readSecrets(c)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// parseLogKey takes the key only under the box's own name: a log that two boxes sign proves nothing about either.
func (s *secrets) parseLogKey(secret string, box gateway.BoxID) (err error) {
	if s.log, err = note.NewSigner(secret); err != nil {
		return err
	}
	if err = audit.CheckKeyName(s.log.Name(), box); err != nil {
		return err
	}
	if s.public, err = audit.PublicKey(secret); err != nil {
		return err
	}
	s.own, err = note.NewVerifier(s.public)
	return err
}

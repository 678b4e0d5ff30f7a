package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/durable"
	"tapward/gateway/phone/link"
)

// keysCommand makes what is missing of the box's keys. It never writes over one and never shows a secret.
type keysCommand struct {
	Data     string        `required:"" type:"path" placeholder:"DIR" help:"The box's data folder."`
	Box      gateway.BoxID `required:"" help:"The box's name, as in its configuration."`
	BadgeKey string        `type:"path" placeholder:"FILE" help:"The site's badge key, the same on every box: 32 bytes in base64. Without it a new one is made."`
}

func (c keysCommand) Run(t terminal) error {
	if !gateway.ValidLabel(string(c.Box)) {
		return fmt.Errorf("make keys: --box %q must be %s; nothing was made", c.Box, gateway.LabelRule)
	}
	if err := mine(c.Data); err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	if err := c.sameBox(); err != nil {
		return err
	}
	for _, k := range boxKeys {
		text, made, err := c.ensure(k.name)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		public, err := k.public(text)
		if err != nil {
			return fmt.Errorf("%s in %s cannot be used and was left as it is: %w", k.name, c.Data, err)
		}
		what := "was here"
		if made {
			what = "made"
		}
		fmt.Fprintf(t.out, "%-9s  %-8s  %s\n", k.name, what, public)
	}
	return nil
}

// sameBox refuses a folder with another box's log key, before anything is made in it. A key that cannot be read is
// Run's to tell of.
func (c keysCommand) sameBox() error {
	text, err := os.ReadFile(filepath.Join(c.Data, logKey))
	if err != nil {
		return nil
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(text)))
	if err != nil {
		return nil
	}
	if err := audit.CheckKeyName(signer.Name(), c.Box); err != nil {
		return fmt.Errorf("%s in %s was left as it is and nothing was made: %w", logKey, c.Data, err)
	}
	return nil
}

// ensure reads a key, or makes it where there is none.
func (c keysCommand) ensure(name string) (text []byte, made bool, err error) {
	path := filepath.Join(c.Data, name)
	text, err = os.ReadFile(path)
	switch {
	case err == nil:
		return text, false, c.sameBadgeKey(name, text)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, false, err
	}
	if text, err = c.generate(name); err != nil {
		return nil, false, err
	}
	return text, true, durable.Create(path, text)
}

func (c keysCommand) generate(name string) ([]byte, error) {
	switch name {
	case linkKey:
		id, err := link.NewIdentity(string(c.Box))
		if err != nil {
			return nil, err
		}
		return id.PEM(), nil
	case logKey:
		secret, _, err := audit.NewKey(rand.Reader, c.Box)
		return append([]byte(secret), '\n'), err
	}
	if c.BadgeKey != "" {
		return c.givenBadgeKey()
	}
	var key [len(gateway.BadgeKey{})]byte
	rand.Read(key[:]) // never fails
	return append(base64.StdEncoding.AppendEncode(nil, key[:]), '\n'), nil
}

func (c keysCommand) givenBadgeKey() ([]byte, error) {
	text, err := os.ReadFile(c.BadgeKey)
	if err != nil {
		return nil, fmt.Errorf("read the site's badge key: %w", err)
	}
	if _, err := gateway.ParseBadgeKey(text); err != nil {
		return nil, fmt.Errorf("read the site's badge key in %s: %w", c.BadgeKey, err)
	}
	return text, nil
}

// sameBadgeKey refuses to pass over a badge key that is not the one given.
func (c keysCommand) sameBadgeKey(name string, have []byte) error {
	if name != badgeKey || c.BadgeKey == "" {
		return nil
	}
	given, err := c.givenBadgeKey()
	if err != nil {
		return err
	}
	if !bytes.Equal(bytes.TrimSpace(given), bytes.TrimSpace(have)) {
		return fmt.Errorf("%s holds another key than %s; it was left as it is, since every badge on the roster is hashed with it",
			filepath.Join(c.Data, name), c.BadgeKey)
	}
	return nil
}

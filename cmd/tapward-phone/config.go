package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/link"
)

// configPath is where the configuration is.
type configPath string

// Config is the phone's configuration file.
type Config struct {
	// ID is the label on the phone's back; see gateway.LabelRule.
	ID gateway.PhoneID `toml:"id"`
	// Data is the folder of the key, the lock state, the trusted boxes and the sessions.
	Data string `toml:"data"`
	// Listen is where boxes open their link; empty: the phone only dials. Default 127.0.0.1:7610.
	Listen string `toml:"listen"`
	// Page is the address of the lock screen's page; empty: none. Default 127.0.0.1:7680.
	Page string `toml:"page"`
	// Play shows buttons on the page that play the phone's body, for demonstrations.
	Play bool `toml:"play"`
	// Interfaces are the networks for mDNS; default all that do multicast. "lo" only by itself.
	Interfaces []string `toml:"interfaces"`
	// Quiet turns mDNS off, both ways.
	Quiet bool `toml:"quiet"`

	// Boxes are trusted beside those that the trust command added.
	Boxes    []agent.Box `toml:"boxes"`
	Commands Commands    `toml:"commands"`
}

// Commands are what the device does at each turn, as argument vectors; see agent.Commands.
type Commands struct {
	Unlock      []string `toml:"unlock"`
	Lock        []string `toml:"lock"`
	Clear       []string `toml:"clear"`
	VerifyClear []string `toml:"verify_clear"`
	Timeout     string   `toml:"timeout"` // of each, as "3s"
}

func (p configPath) read() (Config, error) {
	text, err := os.ReadFile(string(p))
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("read configuration: %w (make a phone with: tapward-phone init ID --data FOLDER)", err)
	}
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	c := Config{Listen: "127.0.0.1:7610", Page: "127.0.0.1:7680"}
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&c); err != nil {
		if strict := (*toml.StrictMissingError)(nil); errors.As(err, &strict) {
			return Config{}, fmt.Errorf("configuration %s has keys that do not exist:\n%s", p, strict.String())
		}
		return Config{}, fmt.Errorf("configuration %s: %w", p, err)
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", p, err)
	}
	return c, nil
}

// check says all that is wrong at once.
func (c Config) check() error {
	var errs []error
	if !gateway.ValidLabel(string(c.ID)) {
		errs = append(errs, fmt.Errorf("id %q must be %s", c.ID, gateway.LabelRule))
	}
	if c.Data == "" {
		errs = append(errs, errors.New("data: name a folder"))
	}
	if _, err := c.Commands.timeout(); err != nil {
		errs = append(errs, err)
	}
	for _, b := range c.Boxes {
		if err := checkBox(b); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func checkBox(b agent.Box) error {
	switch {
	case b.ID == "" || len(b.ID) > link.MaxWord:
		return fmt.Errorf("box %q: want a name of 1 to %d characters", b.ID, link.MaxWord)
	case b.Key.IsZero():
		return fmt.Errorf("box %s: its key's fingerprint is missing", b.ID)
	}
	return nil
}

func (c Commands) timeout() (time.Duration, error) {
	if c.Timeout == "" {
		return agent.DefaultTimeout, nil
	}
	d, err := time.ParseDuration(c.Timeout)
	if err != nil || d <= 0 || d > time.Minute {
		return 0, fmt.Errorf("commands.timeout %q: want up to a minute, as \"3s\"", c.Timeout)
	}
	return d, nil
}

func (c Config) workspace() agent.Workspace {
	timeout, _ := c.Commands.timeout() // checked
	return agent.Workspace{
		Root: filepath.Join(c.Data, "work"), Phone: c.ID,
		Commands: agent.Commands{
			Unlock: c.Commands.Unlock, Lock: c.Commands.Lock, Clear: c.Commands.Clear, VerifyClear: c.Commands.VerifyClear,
			Timeout: timeout,
		},
	}
}

func (c Config) identity() string { return filepath.Join(c.Data, "identity.pem") }
func (c Config) state() string    { return filepath.Join(c.Data, "state") }
func (c Config) socket() string   { return filepath.Join(c.Data, "control.sock") }
func (c Config) trusted() string  { return filepath.Join(c.Data, "boxes.json") }

// boxes are all trusted ones: of the configuration and of the trust command.
func (c Config) boxes() ([]agent.Box, error) {
	added, err := c.added()
	if err != nil {
		return nil, err
	}
	all := slices.Clone(c.Boxes)
	for _, b := range added {
		if i := slices.IndexFunc(all, func(o agent.Box) bool { return o.ID == b.ID }); i >= 0 {
			return nil, fmt.Errorf("box %s is trusted twice: in the configuration and in %s", b.ID, c.trusted())
		}
		all = append(all, b)
	}
	return all, nil
}

// added are the boxes of the trust command.
func (c Config) added() ([]agent.Box, error) {
	text, err := os.ReadFile(c.trusted())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var boxes []agent.Box
	if err == nil {
		err = json.Unmarshal(text, &boxes)
	}
	if err != nil {
		return nil, fmt.Errorf("read trusted boxes %s: %w", c.trusted(), err)
	}
	return boxes, nil
}

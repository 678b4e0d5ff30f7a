package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"

	"tapward/gateway"
	"tapward/gateway/durable"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/link"
)

// initCommand makes a phone. It may be called again; what is there stays.
type initCommand struct {
	ID   gateway.PhoneID `arg:"" help:"The label on the phone's back."`
	Data string          `help:"The folder for the phone's key, state and sessions." default:"/var/lib/tapward-phone" type:"path" placeholder:"FOLDER"`
}

const template = `# A shared phone's agent. See tapward-phone --help.
id = %q
data = %q

# Where boxes open their link; "" to only dial. Give the phone's own address to be reached from the ward's network.
listen = "127.0.0.1:7610"

# The lock screen.
page = "127.0.0.1:7680"

# What the device does at each turn: argument vectors, run without a shell, with TAPWARD_NAME, TAPWARD_SESSION_DIR and
# more in the environment. verify_clear exits 0 only where nothing of any session is left.
[commands]
unlock = []
lock = []
clear = []
verify_clear = []
`

func (c initCommand) Run(path configPath, m Main) error {
	if _, err := os.Stat(string(path)); errors.Is(err, fs.ErrNotExist) {
		if !gateway.ValidLabel(string(c.ID)) {
			return fmt.Errorf("make phone: id %q must be %s", c.ID, gateway.LabelRule)
		}
		if err := os.MkdirAll(filepath.Dir(string(path)), 0o755); err != nil {
			return fmt.Errorf("make phone: %w", err)
		}
		if err := durable.Replace(string(path), fmt.Appendf(nil, template, c.ID, c.Data)); err != nil {
			return fmt.Errorf("make phone: %w", err)
		}
	}
	config, err := path.read()
	if err != nil {
		return err
	}
	if config.ID != c.ID {
		return fmt.Errorf("make phone: the configuration %s is of phone %s, not %s", path, config.ID, c.ID)
	}
	if err := os.MkdirAll(config.Data, 0o700); err != nil {
		return fmt.Errorf("make phone: %w", err)
	}
	id, err := link.CreateIdentity(config.identity(), string(config.ID))
	if errors.Is(err, fs.ErrExist) {
		id, err = link.LoadIdentity(config.identity())
	}
	if err != nil {
		return err
	}
	if err := agent.CreateStateFile(config.state(), config.ID); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fmt.Fprintf(m.Stdout, "phone       %s\nfingerprint %s\nconfig      %s\n", config.ID, id.Fingerprint(), path)
	return nil
}

type fingerprintCommand struct{}

func (fingerprintCommand) Run(path configPath, m Main) error {
	config, err := path.read()
	if err != nil {
		return err
	}
	id, err := link.LoadIdentity(config.identity())
	if err != nil {
		return err
	}
	fmt.Fprintln(m.Stdout, id.Fingerprint())
	return nil
}

type trustCommand struct {
	Name        gateway.BoxID       `arg:"" help:"The box's name."`
	Fingerprint gateway.Fingerprint `arg:"" help:"The fingerprint on the box's screen."`
	Addrs       []string            `arg:"" optional:"" name:"addr" help:"Where the phone can dial the box, host:port."`
}

func (c trustCommand) Run(ctx context.Context, path configPath, m Main) error {
	box := agent.Box{ID: c.Name, Key: c.Fingerprint, Addrs: c.Addrs}
	if err := checkBox(box); err != nil {
		return fmt.Errorf("trust box: %w", err)
	}
	for _, addr := range c.Addrs {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("trust box: %w", err)
		}
	}
	err := path.change(ctx, func(config Config, boxes []agent.Box) ([]agent.Box, error) {
		all := append(slices.Clone(config.Boxes), boxes...)
		if i := slices.IndexFunc(all, func(b agent.Box) bool { return b.ID == c.Name && b.Key != c.Fingerprint }); i >= 0 {
			return nil, fmt.Errorf("box %s is trusted with another key; untrust it first", c.Name)
		}
		if slices.ContainsFunc(config.Boxes, func(b agent.Box) bool { return b.ID == c.Name }) {
			return nil, fmt.Errorf("box %s is in the configuration: change it there", c.Name)
		}
		return append(slices.DeleteFunc(boxes, func(b agent.Box) bool { return b.ID == c.Name }), box), nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(m.Stdout, "box %s is trusted.\n", c.Name)
	return nil
}

type untrustCommand struct {
	Name gateway.BoxID `arg:""`
}

func (c untrustCommand) Run(ctx context.Context, path configPath, m Main) error {
	err := path.change(ctx, func(_ Config, boxes []agent.Box) ([]agent.Box, error) {
		rest := slices.DeleteFunc(slices.Clone(boxes), func(b agent.Box) bool { return b.ID == c.Name })
		if len(rest) == len(boxes) {
			return nil, fmt.Errorf("box %s was not added by the trust command", c.Name)
		}
		return rest, nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(m.Stdout, "box %s is no longer trusted.\n", c.Name)
	return nil
}

// change rewrites the trusted boxes, and tells a phone that runs.
func (p configPath) change(ctx context.Context, f func(Config, []agent.Box) ([]agent.Box, error)) error {
	config, err := p.read()
	if err != nil {
		return err
	}
	before, err := config.added()
	if err != nil {
		return err
	}
	after, err := f(config, before)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(after, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.Replace(config.trusted(), append(text, '\n')); err != nil {
		return fmt.Errorf("store trusted boxes: %w", err)
	}
	err = dialControl(config.socket()).post(ctx, "/reload", nil)
	if errors.Is(err, errNotRunning) {
		return nil
	}
	return err
}

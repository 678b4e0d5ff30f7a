package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/exec"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/conformance"
	"tapward/gateway/phone/link"
)

// conformanceCommand examines an agent. The phone must trust the examiner as a box, and nobody else may use it.
type conformanceCommand struct {
	Address  string              `arg:"" optional:"" help:"Where the phone listens, HOST:PORT. Without it the examiner's fingerprint is printed, for the phone to trust."`
	Phone    gateway.PhoneID     `help:"The phone's id." placeholder:"ID"`
	Key      gateway.Fingerprint `help:"The phone's fingerprint, as its own screen shows it."`
	Box      gateway.BoxID       `help:"The name under which the phone trusts the examiner." default:"examiner"`
	Identity string              `help:"The examiner's key; made where it is missing." default:"examiner.pem" type:"path" placeholder:"PATH"`
	Plant    string              `help:"Shell command that leaves something behind on the phone which its verify step must find." placeholder:"COMMAND"`
	Unplant  string              `help:"Shell command that takes it away." placeholder:"COMMAND"`
}

func (c conformanceCommand) Run(ctx context.Context, m Main) error {
	if c.Address != "" && (c.Phone == "" || c.Key.IsZero()) {
		return errors.New("examine: --phone and --key are needed: the id and fingerprint that the phone's own screen shows")
	}
	id, err := c.identity()
	if err != nil {
		return err
	}
	if c.Address == "" {
		fmt.Fprintf(m.Stdout, "box         %s\nfingerprint %s\n", c.Box, id.Fingerprint())
		return nil
	}
	exam := conformance.Exam{
		Phone: c.Phone, Key: c.Key, Box: c.Box, Identity: id,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", c.Address)
		},
		Plant: shell(c.Plant), Unplant: shell(c.Unplant),
	}
	failed := exam.Run(ctx, func(r conformance.Result) {
		word := "pass"
		if r.Err != nil {
			word = "FAIL"
		}
		fmt.Fprintf(m.Stdout, "%s  %-18s %s (%.1f s)\n", word, r.Name, r.Rule, r.Took.Seconds())
		if r.Err != nil {
			fmt.Fprintf(m.Stdout, "      %v\n", r.Err)
		}
	})
	if failed > 0 {
		return fmt.Errorf("examine %s: %d of %d clauses failed", c.Phone, failed, len(conformance.Clauses()))
	}
	fmt.Fprintf(m.Stdout, "%s keeps all %d clauses.\n", c.Phone, len(conformance.Clauses()))
	return nil
}

func (c conformanceCommand) identity() (link.Identity, error) {
	id, err := link.CreateIdentity(c.Identity, string(c.Box))
	if errors.Is(err, fs.ErrExist) {
		return link.LoadIdentity(c.Identity)
	}
	return id, err
}

// shell is nil where there is no command.
func shell(command string) func(context.Context) error {
	if command == "" {
		return nil
	}
	return func(ctx context.Context) error {
		if out, err := exec.CommandContext(ctx, "sh", "-c", command).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %.200s", command, err, out)
		}
		return nil
	}
}

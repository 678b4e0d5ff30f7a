package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

type phoneCommands struct {
	List    phoneList    `cmd:"" help:"List paired phones, and those that were seen and are not paired."`
	Add     phoneAdd     `cmd:"" help:"Pair a phone whose fingerprint you compare on both screens."`
	Release phoneRelease `cmd:"" help:"End the phone's session, or take it out of quarantine."`
	Remove  phoneRemove  `cmd:"" help:"Forget a phone that is free or quarantined."`
}

type phoneList struct{ Box }

func (c phoneList) Run(ctx context.Context, t terminal) error {
	w, err := c.client().Ward(ctx)
	if err != nil {
		return err
	}
	list := newColumns(t.out)
	list.row("PHONE", "CLASS", "POOL", "STATE", "LINK", "FENCE")
	for _, p := range w.Phones {
		list.row(string(p.ID), string(p.Class), p.Pool, p.Phase, phoneLink(p), fmt.Sprint(p.Fence))
	}
	if len(w.Phones) == 0 {
		list.row("no phone is paired")
	}
	if err := list.end(); err != nil || len(w.Seen) == 0 {
		return err
	}
	fmt.Fprintln(t.out)
	seen := newColumns(t.out)
	seen.row("SEEN, NOT PAIRED", "ADDRESS", "KEY AS ADVERTISED (UNPROVEN)")
	for _, s := range w.Seen {
		seen.row(s.Name, s.Address, s.Key.String())
	}
	return seen.end()
}

// phoneAdd pairs a phone: two people, or one with two screens, compare both fingerprints first.
type phoneAdd struct {
	Box
	ID    gateway.PhoneID     `arg:"" help:"The label on the phone's back."`
	Key   gateway.Fingerprint `required:"" help:"The fingerprint on the phone's screen."`
	Class gateway.Class       `required:"" help:"convenience, workflow or privileged."`
	Pool  string              `required:"" help:"The pool it belongs to."`
	Addr  []string            `help:"Where the phone can be reached without mDNS, host:port."`
	Data  string              `help:"The box's data folder, to show the box's own fingerprint." default:"/var/lib/tapward" type:"path" placeholder:"DIR"`
	Yes   bool                `help:"The fingerprints were compared: do not ask."`
}

func (c phoneAdd) Run(ctx context.Context, t terminal) error {
	fmt.Fprintf(t.out, "Pair %s (%s, pool %s) with this box.\n", c.ID, c.Class, c.Pool)
	fmt.Fprintf(t.out, "  The phone's key, to stand on the phone's screen as its own:\n    %s\n", c.Key)
	fmt.Fprintf(t.out, "  This box's key, to stand on the phone's screen as its box:\n    %s\n", ownKey(c.Data))
	if !c.Yes {
		switch same, err := t.confirm("Are both the same there, digit by digit?"); {
		case err != nil:
			return err
		case !same:
			return errors.New("pair phone: the fingerprints were not confirmed; nothing was changed")
		}
	}
	p := gateway.Phone{ID: c.ID, Key: c.Key, Class: c.Class, Pool: c.Pool, Addrs: c.Addr}
	if err := c.client().AddPhone(ctx, p); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s is paired.\n", c.ID)
	return nil
}

// ownKey is the box's fingerprint, or where to find it.
func ownKey(folder string) string {
	path := filepath.Join(folder, linkKey)
	id, err := link.LoadIdentity(path)
	switch {
	case err == nil:
		return id.Fingerprint().String()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("not in %s; it is what `tapward keys` printed when the key was made", path)
	}
	return fmt.Sprintf("cannot be read here (%v); it is what `tapward keys` printed when the key was made", err)
}

type phoneRelease struct {
	Box
	ID gateway.PhoneID `arg:""`
}

func (c phoneRelease) Run(ctx context.Context, t terminal) error {
	if err := c.client().ReleasePhone(ctx, c.ID); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "The release of %s is on its way; `tapward status` shows when the phone has confirmed it.\n", c.ID)
	return nil
}

type phoneRemove struct {
	Box
	ID gateway.PhoneID `arg:""`
}

func (c phoneRemove) Run(ctx context.Context, t terminal) error {
	if err := c.client().RemovePhone(ctx, c.ID); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s is no longer paired.\n", c.ID)
	return nil
}

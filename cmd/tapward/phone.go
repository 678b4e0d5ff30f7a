package main

import (
	"context"
	"errors"
	"fmt"

	"tapward/gateway"
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
	if err := list.end(); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "\nThis box's key, to stand on a phone's screen as its box:\n  %s\n", w.Key)
	if len(w.Seen) == 0 {
		return nil
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
	Data  string              `hidden:"" help:"No longer needed: the box says its own fingerprint."`
	Yes   bool                `help:"The fingerprints were compared: do not ask."`
}

func (c phoneAdd) Run(ctx context.Context, t terminal) error {
	w, err := c.client().Ward(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "Pair %s (%s, pool %s) with this box.\n", c.ID, c.Class, c.Pool)
	fmt.Fprintf(t.out, "  The phone's key, to stand on the phone's screen as its own:\n    %s\n", c.Key)
	fmt.Fprintf(t.out, "  This box's key, to stand on the phone's screen as its box:\n    %s\n", w.Key)
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

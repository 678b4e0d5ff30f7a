package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"tapward/gateway"
)

// statusCommand shows the ward as the box sees it.
type statusCommand struct {
	Box
	JSON  bool `help:"As JSON; with --watch one line for every change."`
	Watch bool `help:"Show every change until interrupted."`
}

func (c statusCommand) Run(ctx context.Context, t terminal) error {
	if !c.Watch {
		w, err := c.client().Ward(ctx)
		if err != nil {
			return err
		}
		return c.show(t.out, w)
	}
	err := c.client().Watch(ctx, func(w *gateway.Ward) error { return c.show(t.out, w) })
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil // interrupted, which is how watching ends
	}
	return err
}

// clearScreen begins a picture at the top of an empty terminal.
const clearScreen = "\x1b[H\x1b[2J"

func (c statusCommand) show(out io.Writer, w *gateway.Ward) error {
	switch {
	case c.JSON:
		e := json.NewEncoder(out)
		if !c.Watch {
			e.SetIndent("", "  ")
		}
		return e.Encode(w)
	case c.Watch && isTerminal(out):
		fmt.Fprint(out, clearScreen)
	case c.Watch:
		fmt.Fprintln(out)
	}
	return showWard(out, w)
}

func showWard(out io.Writer, w *gateway.Ward) error {
	head := newColumns(out)
	head.row("box", fmt.Sprintf("%s, ward %q, up %s, seen %s", w.Box, w.Name, w.Up.Round(time.Second), moment(w.Made, w.Made)))
	head.row("policy", policyWords(w.Policy, w.Made))
	head.row("log", fmt.Sprintf("%d records, root %s", w.Log.Size, w.Log.Root))
	head.row("clock", w.Clock)
	head.row("uplink", uplinkWords(w.Uplink, w.Made))
	head.row("storage", w.Storage.String())
	if w.Armed != nil {
		head.row("armed", fmt.Sprintf("the next tap at %s takes over %s, until %s", w.Armed.Reader, w.Armed.Phone, moment(w.Armed.Until, w.Made)))
	}
	if err := head.end(); err != nil {
		return err
	}
	for _, part := range []func(io.Writer, *gateway.Ward) error{showPhones, showReaders, showTaps} {
		fmt.Fprintln(out)
		if err := part(out, w); err != nil {
			return err
		}
	}
	return nil
}

func policyWords(p gateway.WardPolicy, now time.Time) string {
	switch {
	case !p.Loaded:
		return "none loaded: every tap is refused"
	case !p.Signed:
		return fmt.Sprintf("version %d, *unsigned demo policy*, loaded %s, digest %s", p.Version, moment(p.Since, now), p.Digest)
	}
	return fmt.Sprintf("version %d, signed, loaded %s, digest %s", p.Version, moment(p.Since, now), p.Digest)
}

func uplinkWords(u gateway.Uplink, now time.Time) string {
	words := string(u.State)
	if !u.Since.IsZero() {
		words += " since " + moment(u.Since, now)
	}
	switch {
	case u.State == gateway.UplinkJoining && u.Code != "":
		words += fmt.Sprintf("; code %s, to be compared with the hub's", u.Code)
	case u.Waiting > 0 && u.Oldest.IsZero():
		words += fmt.Sprintf("; records that wait: %d", u.Waiting)
	case u.Waiting > 0:
		words += fmt.Sprintf("; records that wait: %d, the oldest for %s", u.Waiting, max(0, now.Sub(u.Oldest)).Round(time.Second))
	}
	if !u.Heard.IsZero() {
		words += "; revocations as of " + moment(u.Heard, now)
	}
	for _, why := range []string{u.Why, u.Trouble} {
		if why != "" {
			words += "; " + why
		}
	}
	return words
}

func showPhones(out io.Writer, w *gateway.Ward) error {
	c := newColumns(out)
	c.row("PHONE", "STATE", "HOLDER", "SINCE", "BATTERY", "LINK", "PLACE", "POOL", "CLASS", "NOTE")
	for _, p := range w.Phones {
		c.row(string(p.ID), phoneState(p), orDash(p.Holder), moment(p.Since, w.Made), battery(p), phoneLink(p), orDash(p.Slot),
			p.Pool, string(p.Class), phoneNote(p))
	}
	if len(w.Phones) == 0 {
		c.row("no phone is paired: tapward phone add")
	}
	for _, s := range w.Seen {
		c.row(s.Name, "not paired", "-", "-", "-", "seen", s.Address)
	}
	return c.end()
}

func phoneState(p gateway.WardPhone) string {
	if p.Locked && p.Holder != "" {
		return p.Phase + ", locked"
	}
	return p.Phase
}

func battery(p gateway.WardPhone) string {
	switch {
	case p.Battery < 0 || !p.Linked:
		return "?"
	case p.Charging:
		return fmt.Sprintf("%d %% +", p.Battery)
	}
	return fmt.Sprintf("%d %%", p.Battery)
}

func phoneLink(p gateway.WardPhone) string {
	switch {
	case !p.Linked:
		return "gone"
	case !p.Healthy:
		return "faulty"
	}
	return "up"
}

func phoneNote(p gateway.WardPhone) string {
	if p.Next != "" {
		return "next: " + p.Next
	}
	if p.Reason == "" {
		return ""
	}
	return p.Reason.Sentence()
}

func showReaders(out io.Writer, w *gateway.Ward) error {
	c := newColumns(out)
	c.row("READER", "STATE", "SINCE", "NOTE")
	for _, r := range w.Readers {
		c.row(string(r.ID), r.State.String(), moment(r.Since, w.Made), r.Note)
	}
	if len(w.Readers) == 0 {
		c.row("no reader is configured")
	}
	return c.end()
}

func showTaps(out io.Writer, w *gateway.Ward) error {
	c := newColumns(out)
	c.row("TAP", "READER", "WHO", "SIGNAL", "PHONE", "REASON")
	for _, t := range w.Taps {
		c.row(moment(t.At, w.Made), string(t.Reader), orDash(t.Who), t.Signal.String(), orDash(string(t.Phone)), t.Reason.Sentence())
	}
	if len(w.Taps) == 0 {
		c.row("no badge was tapped yet")
	}
	return c.end()
}

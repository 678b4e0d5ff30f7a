package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tapward/gateway"
)

// story is a day on the ward. Each step builds on those before it.
var story = []step{
	{"A new ward opens: three readers are up, three phones were found over mDNS, paired and linked", opens},
	{"The box is enrolled: its code was compared with the hub's; the hub archives what it records", enrolled},
	{"Ana taps at the door: a phone unlocks with her name, and only then the reader shows green", checkOut},
	{"Ana taps again, at the serial reader: nothing changes, she is told which phone she holds", holdsAlready},
	{"Ben taps while Ana's phone is held to the door: her session is cleared, then his opens; the log names both", handOff},
	{"Ben puts the phone into the rack: his session ends and the screen shows nobody", returns},
	{"An unknown, an expired and a blocked badge are refused, each with its own reason", refusals},
	{"Cora takes a phone from the dock; Dr Eli takes it over at the station; the log names both", takeOver},
	{"The serial reader's cable is pulled: the station says so; plugged in, it reads again", pulledSerial},
	{"The PC/SC daemon stops: both its readers are down; it comes back, and they read again", pulledPCSC},
	{"tapwardd is killed with kill -9 and started: Cora and Ben keep their sessions", killed},
	{"The ward is stopped by Ctrl-C and started: everything is where it was", startsAgain},
	{"Cora returns her phone with a second tap while it is held to the reader", secondTap},
	{"The hub's plug is pulled; people tap twenty times: the station says offline, and how many records wait", pulledHub},
	{"The hub is plugged in: the archive catches up with every record of the box, and has no gap", catchesUp},
	{"The box's whole history is proven from the archive alone", proven},
	{"The whole log verifies from a copy of the database, with nothing running", verifies},
	{"One byte of one record is changed in a copy: verify names the record", flipped},
}

func opens(ctx context.Context, t *tale) error {
	if err := t.open(ctx); err != nil {
		return err
	}
	for _, r := range []gateway.ReaderID{door, dock, medRoom} {
		if err := t.is(ctx, r, gateway.ReaderUp); err != nil {
			return err
		}
	}
	page, err := t.station(ctx)
	if err != nil {
		return fmt.Errorf("look at the station: %w", err)
	}
	for _, words := range []string{"Ward 5B (demo)", "phone-1", "phone-2", "phone-3", "Unsigned demo policy"} {
		if !strings.Contains(page, words) {
			return fmt.Errorf("the station page does not say %q", words)
		}
	}
	return nil
}

func checkOut(ctx context.Context, t *tale) error {
	if err := t.tap(ctx, door, "ana"); err != nil {
		return err
	}
	w, err := t.answered(ctx, door, gateway.Granted, gateway.CheckOut)
	if err != nil {
		return err
	}
	if p := phoneOf(w, w.Taps[0].Phone); p.Phase != "bound" || p.Holder != "Ana Demo" {
		return fmt.Errorf("the reader showed green while %s was %s for %q", p.ID, p.Phase, p.Holder)
	}
	held, err := t.holds(ctx, "Ana Demo")
	if err != nil {
		return err
	}
	t.first = held
	if err := t.phone(ctx, held, "undock", ""); err != nil {
		return err
	}
	return t.logged(ctx, "opens Ana's session", func(r gateway.Record) bool {
		return r.Kind == gateway.SessionOpened && r.Clinician == "c-1001" && r.Phone == held && r.Origin == gateway.OriginPCSC
	})
}

func holdsAlready(ctx context.Context, t *tale) error {
	if err := t.tap(ctx, medRoom, "ana"); err != nil {
		return err
	}
	if _, err := t.answered(ctx, medRoom, gateway.Note, gateway.HoldsPhone); err != nil {
		return err
	}
	held, err := t.holds(ctx, "Ana Demo")
	if err == nil && held != t.first {
		err = fmt.Errorf("%s is Ana's now, and she had %s", held, t.first)
	}
	return err
}

func handOff(ctx context.Context, t *tale) error {
	if err := t.phone(ctx, t.first, "present", door); err != nil {
		return err
	}
	if err := t.tap(ctx, door, "ben"); err != nil {
		return err
	}
	held, err := t.holds(ctx, "Ben Sample")
	if err != nil {
		return err
	}
	if held != t.first {
		return fmt.Errorf("%s is Ben's, and Ana's phone was %s", held, t.first)
	}
	if err := t.passedOn(ctx, "c-1001", "c-1002", gateway.HandOff); err != nil {
		return err
	}
	return t.phone(ctx, held, "use", "")
}

// passedOn checks that one custody of the log names both people and holds, in this order: the close requested, cleared
// as the phone signed it, and the new session opened.
func (t *tale) passedOn(ctx context.Context, from, to gateway.ClinicianID, why gateway.Reason) error {
	records, err := readLog(ctx, t.database())
	if err != nil {
		return err
	}
	var custody gateway.Custody
	want := []gateway.RecordKind{gateway.HandOffRequested, gateway.SessionCleared, gateway.SessionOpened}
	for _, r := range records {
		if len(want) == 0 || r.Kind != want[0] || custody != 0 && r.Custody != custody {
			continue
		}
		switch r.Kind {
		case gateway.HandOffRequested:
			if r.Clinician != to || r.Previous != from || !slices.Contains(r.Reasons, why) {
				continue
			}
			custody = r.Custody
		case gateway.SessionCleared:
			if r.Receipt == "" {
				return errors.New("the first session was cleared without the phone's receipt")
			}
		case gateway.SessionOpened:
			if r.Clinician != to {
				return errors.New("the session that opened is not that of whom the phone was passed to")
			}
		}
		want = want[1:]
	}
	if len(want) > 0 {
		return fmt.Errorf("the log tells no hand-off from %s to %s: %s is missing", string(from), string(to), want[0])
	}
	return nil
}

func returns(ctx context.Context, t *tale) error {
	if err := t.phone(ctx, t.first, "dock", "rack-2"); err != nil {
		return err
	}
	if err := t.free(ctx, t.first); err != nil {
		return err
	}
	if err := t.hides(ctx, t.first); err != nil {
		return err
	}
	return t.logged(ctx, "ends Ben's session by the dock", func(r gateway.Record) bool {
		return r.Kind == gateway.SessionCleared && r.Phone == t.first && slices.Contains(r.Reasons, gateway.ReturnedDock)
	})
}

func refusals(ctx context.Context, t *tale) error {
	for _, c := range []struct {
		badge  string
		at     gateway.ReaderID
		who    gateway.ClinicianID
		reason gateway.Reason
	}{
		{stranger, dock, "", gateway.UnknownBadge},
		{"finn", medRoom, "c-1005", gateway.ExpiredBadge},
		{"gus", medRoom, "c-1006", gateway.RevokedBadge},
	} {
		if err := t.tap(ctx, string(c.at), c.badge); err != nil {
			return err
		}
		if _, err := t.answered(ctx, c.at, gateway.Refused, c.reason); err != nil {
			return err
		}
		if err := t.logged(ctx, "refuses "+c.badge, func(r gateway.Record) bool {
			return r.Kind == gateway.TapRefused && r.Reader == c.at && r.Clinician == c.who && slices.Contains(r.Reasons, c.reason)
		}); err != nil {
			return err
		}
	}
	_, err := t.until(ctx, "every phone is still free", func(w *gateway.Ward) bool {
		return !slices.ContainsFunc(w.Phones, func(p gateway.WardPhone) bool { return p.Phase != "free" })
	})
	return err
}

func takeOver(ctx context.Context, t *tale) error {
	if err := t.tap(ctx, dock, "cora"); err != nil {
		return err
	}
	held, err := t.holds(ctx, "Cora Example")
	if err != nil {
		return err
	}
	if err := t.phone(ctx, held, "undock", ""); err != nil {
		return err
	}
	if err := t.box.TakeOver(ctx, door, held); err != nil {
		return err
	}
	if err := t.tap(ctx, door, "eli"); err != nil {
		return err
	}
	took, err := t.holds(ctx, "Dr Eli Testcase")
	if err != nil {
		return err
	}
	if took != held {
		return fmt.Errorf("%s is Dr Eli's, and %s was to be taken over", took, held)
	}
	if err := t.passedOn(ctx, "c-1003", "c-1004", gateway.TakenOver); err != nil {
		return err
	}
	if err := t.phone(ctx, took, "use", ""); err != nil {
		return err
	}
	if err := t.phone(ctx, took, "dock", dock); err != nil {
		return err
	}
	return t.free(ctx, took)
}

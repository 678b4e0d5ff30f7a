package demo

import (
	"context"
	"fmt"

	"tapward/gateway"
)

func pulledSerial(ctx context.Context, t *tale) error {
	if err := t.pullAndPlug(ctx, medRoom, medRoom); err != nil {
		return err
	}
	if err := t.tap(ctx, medRoom, "cora"); err != nil {
		return err
	}
	held, err := t.holds(ctx, "Cora Example")
	if err != nil {
		return err
	}
	t.coras = held
	if err := t.phone(ctx, held, "undock", ""); err != nil {
		return err
	}
	return t.logged(ctx, "opens Cora's session from the serial reader", func(r gateway.Record) bool {
		return r.Kind == gateway.SessionOpened && r.Clinician == "c-1003" && r.Origin == gateway.OriginSerial
	})
}

func pulledPCSC(ctx context.Context, t *tale) error {
	if err := t.pullAndPlug(ctx, door, door, dock); err != nil {
		return err
	}
	if err := t.tap(ctx, dock, "ben"); err != nil {
		return err
	}
	held, err := t.holds(ctx, "Ben Sample")
	if err != nil {
		return err
	}
	t.bens = held
	return t.phone(ctx, held, "undock", "")
}

// pullAndPlug pulls a cable and plugs it in again, and checks that the readers on it go down and come up, in the log too.
func (t *tale) pullAndPlug(ctx context.Context, cable string, affected ...gateway.ReaderID) error {
	for _, c := range []struct {
		do    string
		state gateway.ReaderState
	}{{"pull", gateway.ReaderDown}, {"plug", gateway.ReaderUp}} {
		if err := t.ask(ctx, Order{Do: c.do, At: cable}); err != nil {
			return err
		}
		for _, r := range affected {
			if err := t.is(ctx, r, c.state); err != nil {
				return err
			}
			if err := t.logged(ctx, fmt.Sprintf("tells that reader %s is %s", r, c.state), func(x gateway.Record) bool {
				return x.Kind == gateway.ReaderChanged && x.Reader == r && x.State == c.state.String()
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func killed(ctx context.Context, t *tale) error {
	return t.survives(ctx, func() error { return t.ask(ctx, Order{Do: "restart"}) })
}

func startsAgain(ctx context.Context, t *tale) error {
	return t.survives(ctx, func() error {
		if err := t.close(); err != nil {
			return err
		}
		return t.open(ctx)
	})
}

// survives checks that the box started anew, and that Cora's and Ben's sessions are the same as before it was away.
func (t *tale) survives(ctx context.Context, goAway func() error) error {
	starts, opened, err := t.counts(ctx)
	if err != nil {
		return err
	}
	if err := goAway(); err != nil {
		return err
	}
	if _, err := t.until(ctx, "every phone is linked again", everyPhoneLinked); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		had  gateway.PhoneID
	}{{"Cora Example", t.coras}, {"Ben Sample", t.bens}} {
		held, err := t.holds(ctx, s.name)
		if err != nil {
			return err
		}
		if held != s.had {
			return fmt.Errorf("%s holds %s and had %s", s.name, held, s.had)
		}
	}
	startsNow, openedNow, err := t.counts(ctx)
	if err != nil {
		return err
	}
	if startsNow != starts+1 || openedNow != opened {
		return fmt.Errorf("the log tells of %d starts and %d new sessions, not of one start alone", startsNow-starts, openedNow-opened)
	}
	return nil
}

// counts tells how often the box was started and a session opened.
func (t *tale) counts(ctx context.Context) (starts, opened int, err error) {
	records, err := readLog(ctx, t.database())
	for _, r := range records {
		switch r.Kind {
		case gateway.BoxStarted:
			starts++
		case gateway.SessionOpened:
			opened++
		}
	}
	return starts, opened, err
}

func secondTap(ctx context.Context, t *tale) error {
	if err := t.phone(ctx, t.coras, "present", medRoom); err != nil {
		return err
	}
	if err := t.tap(ctx, medRoom, "cora"); err != nil {
		return err
	}
	if _, err := t.answered(ctx, medRoom, gateway.Note, gateway.TapToReturn); err != nil {
		return err
	}
	if err := t.anew(ctx, medRoom, "cora"); err != nil {
		return err
	}
	if err := t.tap(ctx, medRoom, "cora"); err != nil {
		return err
	}
	if err := t.free(ctx, t.coras); err != nil {
		return err
	}
	return t.hides(ctx, t.coras)
}

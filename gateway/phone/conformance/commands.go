package conformance

import (
	"errors"
	"fmt"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

var commandClauses = []Clause{
	{"bind", "A bind opens a session, and the fence rises by exactly one.", func(s *sitting) error {
		_, _, err := s.bound(nil)
		return err
	}},
	{"fence", "A command is obeyed only where it expects the phone's fence and names the next one.", fence},
	{"replayed-bind", "A bind that was obeyed once is never obeyed again, not even after its session was cleared.", replayedBind},
	{"one-session", "A bind is declined while a session is there.", func(s *sitting) error {
		w, _, err := s.bound(nil)
		if err != nil {
			return err
		}
		m, err := w.bind(w.grant())
		if err != nil {
			return err
		}
		return w.declined("a second bind", m, link.SessionPresent)
	}},
	{"same-receipt", "A command repeated under its id gets the same receipt again and is done once.", sameReceipt},
	{"lock-renew", "A lock keeps the session; a renewal unlocks only where it says so.", lockRenew},
	{"other-session", "Renew, lock and release for another grant than the one held are declined.", otherSession},
	{"no-session", "Renew and lock are declined where there is no session.", func(s *sitting) error {
		w, err := s.rest()
		if err != nil {
			return err
		}
		for _, kind := range []gateway.CommandKind{gateway.Renew, gateway.Lock} {
			if err := w.declined(kind.String()+" without a session", w.order(kind), link.NoSession); err != nil {
				return err
			}
		}
		return nil
	}},
	{"release", "A release ends the session; where nothing is there it is obeyed too.", release},
}

func fence(s *sitting) error {
	w, _, err := s.bound(nil)
	if err != nil {
		return err
	}
	for _, kind := range []gateway.CommandKind{gateway.Renew, gateway.Lock, gateway.Release} {
		for _, off := range []struct{ expect, next int }{{-1, -1}, {-1, 0}, {0, 1}, {1, 1}, {7, 7}} {
			m := w.order(kind)
			m.Expect += gateway.Fence(off.expect)
			m.Next += gateway.Fence(off.next)
			what := fmt.Sprintf("a %s from fence %d to %d at fence %d", kind, m.Expect, m.Next, w.truth.Fence)
			if err := w.declined(what, m, link.FenceMismatch); err != nil {
				return err
			}
		}
	}
	return nil
}

func replayedBind(s *sitting) error {
	w, err := s.rest()
	if err != nil {
		return err
	}
	g := w.grant()
	m, err := w.bind(g)
	if err != nil {
		return err
	}
	if _, err := w.command(m); err != nil {
		return err
	}
	if got, err := w.command(w.order(gateway.Release)); err != nil || got.Kind != gateway.Cleared {
		return errors.Join(fmt.Errorf("release: %s", say(got)), err)
	}
	m.ID, m.Challenge = link.NewNonce(), w.challenge
	if err := w.declined("an old bind under a new id with a new challenge", m, link.FenceMismatch); err != nil {
		return err
	}
	m.ID, m.Expect, m.Next = link.NewNonce(), w.truth.Fence, w.truth.Fence+1
	m.Challenge = w.challenge
	return w.declined("an old grant in a new bind", m, link.WrongGrant)
}

func sameReceipt(s *sitting) error {
	w, err := s.rest()
	if err != nil {
		return err
	}
	m, err := w.bind(w.grant())
	if err != nil {
		return err
	}
	first, got, err := w.commandRaw(m)
	if err != nil {
		return err
	}
	if got.Kind != gateway.Bound {
		return fmt.Errorf("bind: %s", say(got))
	}
	for range 2 {
		if again, got, err := w.commandRaw(m); err != nil || again != first {
			return errors.Join(fmt.Errorf("a repeated bind: want the same receipt, %s", say(got)), err)
		}
	}
	other, err := s.open("")
	if err != nil {
		return err
	}
	if other.truth != w.truth {
		return fmt.Errorf("repeating a bind moved the phone from %s to %s", sayTruth(w.truth), sayTruth(other.truth))
	}
	if again, got, err := other.commandRaw(m); err != nil || again != first {
		return errors.Join(fmt.Errorf("a bind repeated on a new link: want the same receipt, %s", say(got)), err)
	}
	return nil
}

func lockRenew(s *sitting) error {
	w, g, err := s.bound(nil)
	if err != nil {
		return err
	}
	truth := w.truth
	for _, step := range []struct {
		kind   gateway.CommandKind
		unlock bool
		answer gateway.ReceiptKind
		locked bool
	}{
		{gateway.Renew, false, gateway.Renewed, false},
		{gateway.Lock, false, gateway.Locked, true},
		{gateway.Lock, false, gateway.Locked, true},
		{gateway.Renew, false, gateway.Renewed, true},
		{gateway.Renew, true, gateway.Renewed, false},
	} {
		m := w.order(step.kind)
		m.Unlock, m.Lease = step.unlock, g.Lease
		got, err := w.command(m)
		if err != nil {
			return fmt.Errorf("%s: %w", step.kind, err)
		}
		truth.Fence, truth.Locked = truth.Fence+1, step.locked
		if err := expect(step.kind.String(), got, step.answer, truth); err != nil {
			return err
		}
	}
	return nil
}

func otherSession(s *sitting) error {
	w, g, err := s.bound(nil)
	if err != nil {
		return err
	}
	g.Custody++
	for _, kind := range []gateway.CommandKind{gateway.Renew, gateway.Lock, gateway.Release} {
		m := w.order(kind)
		m.Digest = g.Digest()
		if err := w.declined(kind.String()+" for another grant", m, link.WrongGrant); err != nil {
			return err
		}
	}
	return nil
}

func release(s *sitting) error {
	w, _, err := s.bound(nil)
	if err != nil {
		return err
	}
	for _, what := range []string{"release", "release with nothing there"} {
		next := w.truth.Fence + 1
		got, err := w.command(w.order(gateway.Release))
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := expect(what, got, gateway.Cleared, gateway.Truth{Fence: next}); err != nil {
			return err
		}
	}
	after, err := s.open("")
	if err != nil {
		return err
	}
	if after.truth != w.truth || after.hello.Held != "" {
		return fmt.Errorf("after a release the hello says %s", sayTruth(after.truth))
	}
	return nil
}

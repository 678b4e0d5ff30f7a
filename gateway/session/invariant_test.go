package session

import (
	"fmt"
	"slices"

	"tapward/gateway"
)

// agree checks what must hold between the box's belief and the phones, at every moment.
func (w *world) agree() error {
	for i, p := range w.box.Phones {
		h := w.phones[i]
		switch p.Phase {
		case Bound:
			if h.digest != p.Grant.Digest() {
				return fmt.Errorf("%s is bound to %s, but the phone does not show that session", p.ID, p.Owner)
			}
		case Free:
			if h.grant.Box == ourBox {
				return fmt.Errorf("%s is free, but the phone shows a session of %s", p.ID, h.grant.Clinician)
			}
			for _, m := range w.flight {
				if m.phone == i && m.command.Kind == gateway.Bind && m.command.Expect == h.fence {
					return fmt.Errorf("%s is free, but a bind under way would still open it", p.ID)
				}
			}
		}
		if owned := p.Phase == Binding || p.Phase == Bound; owned && p.Owner == "" {
			return fmt.Errorf("%s is %s without a named person", p.ID, p.Phase)
		}
		if p.Await != gateway.NoCommand && p.Next <= p.Fence {
			return fmt.Errorf("%s awaits command %d at fence %d", p.ID, p.Next, p.Fence)
		}
		if p.For != nil && p.Due.Answer.IsZero() {
			return fmt.Errorf("%s waits for %s without a deadline", p.For.Clinician, p.ID)
		}
		if (p.Phase == Binding || p.Phase == Releasing) && p.Due.Answer.IsZero() {
			return fmt.Errorf("%s is %s without a deadline", p.ID, p.Phase)
		}
	}
	for _, who := range people {
		n := 0
		for _, p := range w.box.Phones {
			if (p.Phase == Binding || p.Phase == Bound) && p.Owner == who || p.For != nil && p.For.Clinician == who && p.Owner != who {
				n++
			}
		}
		if n > 1 {
			return fmt.Errorf("%s has %d phones", who, n)
		}
	}
	return nil
}

// justified checks that what the box did about an event was allowed, and that the records tell it.
func (w *world) justified(before State, e Event, effects []Effect) error {
	if tap, ok := e.(Tapped); ok && w.box.Custody > before.Custody {
		w.permit = map[gateway.Custody]gateway.ClinicianID{w.box.Custody: tap.Clinician}
		for _, p := range before.Phones {
			if p.For != nil {
				w.permit[p.For.Custody] = p.For.Clinician
			}
		}
	}
	if w.box.Custody > before.Custody+1 {
		return fmt.Errorf("custody rose from %d to %d in one step", before.Custody, w.box.Custody)
	}
	var kinds []gateway.RecordKind
	for _, eff := range effects {
		if r, ok := eff.(*Record); ok {
			kinds = append(kinds, r.Kind)
			if err := w.account(r.Record); err != nil {
				return err
			}
		}
	}
	for _, eff := range effects {
		switch eff := eff.(type) {
		case Send:
			if err := w.sendable(before, eff.Command); err != nil {
				return err
			}
		case Tell:
			confirmed := []gateway.RecordKind{gateway.SessionOpened, gateway.SessionResumed, gateway.SessionCleared}
			if eff.Signal == gateway.Granted && !slices.ContainsFunc(confirmed, func(k gateway.RecordKind) bool { return slices.Contains(kinds, k) }) {
				return fmt.Errorf("granted was told for %s without the phone's confirmation", eff.Phone)
			}
		}
	}
	for i, p := range w.box.Phones {
		if p.Phase != before.Phones[i].Phase && len(kinds) == 0 {
			return fmt.Errorf("%s went from %s to %s without a record", p.ID, before.Phones[i].Phase, p.Phase)
		}
		if p.Phase == Bound && !w.opened[i] || p.Phase == Free && w.opened[i] {
			return fmt.Errorf("%s is %s, but the records say opened=%v", p.ID, p.Phase, w.opened[i])
		}
	}
	return nil
}

// account keeps the books that a reader of the log keeps: what was opened is closed once, before it is opened again.
func (w *world) account(r gateway.Record) error {
	i := slices.Index(labels, r.Phone)
	switch r.Kind {
	case gateway.SessionOpened:
		if w.opened[i] {
			return fmt.Errorf("a second session was opened on %s before the first was closed", r.Phone)
		}
		if r.Clinician == "" || w.phones[i].grant.Clinician != r.Clinician {
			return fmt.Errorf("%s was opened for %q, but shows %q", r.Phone, r.Clinician, w.phones[i].grant.Clinician)
		}
		w.opened[i] = true
		if slices.Contains(w.failed, r.Custody) {
			return fmt.Errorf("custody %d failed and was opened on %s", r.Custody, r.Phone)
		}
	case gateway.CustodyFailed:
		if slices.Contains(w.failed, r.Custody) {
			return fmt.Errorf("custody %d failed twice", r.Custody)
		}
		w.failed = append(slices.Clip(w.failed), r.Custody) // worlds share what went before
	case gateway.SessionCleared, gateway.ClearFailure, gateway.PhoneForeign:
		if r.Kind != gateway.PhoneForeign && w.phones[i].digest == r.Grant && !r.Grant.IsZero() {
			return fmt.Errorf("%s was recorded as %s, but still shows the session", r.Phone, r.Kind)
		}
		w.opened[i] = false
	}
	return nil
}

// sendable checks a command against the fence rule, and a bind against its permit.
func (w *world) sendable(before State, c gateway.Command) error {
	p, _ := w.box.Phone(c.Phone)
	if !p.Linked {
		return fmt.Errorf("%s was sent to %s, which has no link", c.Kind, c.Phone)
	}
	if c.Next != c.Expect+1 || c.Expect < p.Fence {
		return fmt.Errorf("%s goes from fence %d to %d at a phone that has proven %d", c.Kind, c.Expect, c.Next, p.Fence)
	}
	if c.Kind != p.Await || c.Next != p.Next {
		return fmt.Errorf("%s %d was sent to %s, which then awaits %s %d", c.Kind, c.Next, c.Phone, p.Await, p.Next)
	}
	if c.Kind == gateway.Bind {
		if p.Phase != Binding || p.For == nil || c.Grant.Clinician != p.For.Clinician || c.Grant.Custody != p.For.Custody {
			return fmt.Errorf("bind for %s was sent without a request", c.Grant.Clinician)
		}
		if who, ok := w.permit[c.Grant.Custody]; ok && who != c.Grant.Clinician {
			return fmt.Errorf("custody %d was permitted to %s and bound to %s", c.Grant.Custody, who, c.Grant.Clinician)
		}
		if c.Grant.Custody > w.box.Custody {
			return fmt.Errorf("custody %d was never given out", c.Grant.Custody)
		}
	}
	return nil
}

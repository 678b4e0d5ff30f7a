package handoff

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
	"tapward/gateway/policy"
	"tapward/gateway/session"
)

// ErrStopped says that the engine no longer takes acts.
var ErrStopped = errors.New("the box is stopping")

// Do has an operator's act carried out and returns when it is durable, with what is wrong with it otherwise. An act that
// is refused changes nothing; the log has it all the same.
func (e *Engine) Do(ctx context.Context, operator string, act gateway.Act) error {
	m := acted{operator: operator, act: act}
	if load, ok := act.(gateway.LoadPolicy); ok {
		m.document, m.mistakes = policy.Parse(load.Document)
	}
	done := make(chan error, 1)
	m.done = done
	if !e.post(ctx, m) {
		return ErrStopped
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w before it answered: look whether the act was done", ctx.Err())
	}
}

// act carries out an operator's act, or says why not.
func (e *Engine) act(m acted) {
	var err error
	first := len(e.batch.steps)
	switch a := m.act.(type) {
	case gateway.AddPhone:
		err = e.addPhone(m.operator, a)
	case gateway.RemovePhone:
		err = e.removePhone(m.operator, a)
	case gateway.ReleasePhone:
		err = e.releasePhone(m.operator, a)
	case gateway.TakeOver:
		err = e.takeOver(m.operator, a)
	case gateway.LoadPolicy:
		if err = m.mistakes; err == nil {
			err = e.loadPolicy(m.operator, a, m.document)
		}
	case gateway.InstallRevocations:
		err = e.installRevocations(m.operator, a)
	default:
		err = fmt.Errorf("this box does not know the act %T", a)
	}
	if err != nil {
		e.note(refusal(m.operator, m.act, err))
	}
	for i := range e.batch.steps[first:] {
		e.batch.steps[first+i].act = m.act
	}
	e.batch.replies = append(e.batch.replies, reply{m.done, m.operator, m.act, err})
}

func (e *Engine) addPhone(operator string, a gateway.AddPhone) error {
	p := a.Phone
	switch {
	case !gateway.ValidLabel(string(p.ID)):
		return refuse(gateway.Incomplete, "add phone %q: an id is %s", p.ID, gateway.LabelRule)
	case p.Key.IsZero() || p.Pool == "":
		return refuse(gateway.Incomplete, "add phone: it needs a pool and the fingerprint from its screen")
	case !slices.Contains(gateway.Classes, p.Class):
		return refuse(gateway.Incomplete, "add phone %s: class %q is not one of %v", p.ID, p.Class, gateway.Classes)
	}
	here, known := e.registry.Phone(p.ID)
	another := known && here.Phone.Key != p.Key
	if another && !e.state.CanRemove(p.ID) {
		return refuse(gateway.PhoneBusy, "add phone %s: it is in use, its key can change only while it is free", p.ID)
	}
	if other := e.keyOwner(p.Key); other != "" && other != p.ID {
		return refuse(gateway.PhoneBusy, "add phone %s: its key belongs to %s already; remove that one first", p.ID, other)
	}
	if another { // nothing that was known of the former phone is true of this one
		e.step(session.Removed{At: time.Now(), Phone: p.ID})
		e.write(gateway.Record{Kind: gateway.PhoneRemoved, Phone: p.ID, Operator: operator, Words: here.Phone.Key.String()})
	}
	e.step(session.Added{At: time.Now(), Phone: p.ID})
	e.write(gateway.Record{Kind: gateway.PhoneAdded, Phone: p.ID, State: string(p.Class), Operator: operator, Words: p.Key.String()})
	e.batch.acts = append(e.batch.acts, a)
	e.batch.then = append(e.batch.then, func() {
		found := e.registry.Candidates()
		e.registry = e.registry.Add(p)
		e.cfg.Phones.Pair(p)
		e.reach(p.Key, found)
	})
	return nil
}

// reach tries a phone that was just paired where it was found before: its next sighting may be a minute away.
func (e *Engine) reach(key gateway.Fingerprint, found []gateway.Candidate) {
	for _, c := range found {
		if addr, err := netip.ParseAddrPort(c.Address); err == nil && c.Key == key {
			e.cfg.Phones.Propose(phone.Sighting{At: time.Now(), Name: c.Name, Key: key, Addrs: []netip.AddrPort{addr}})
		}
	}
}

func (e *Engine) keyOwner(key gateway.Fingerprint) gateway.PhoneID {
	for _, p := range e.state.Phones {
		if here, ok := e.registry.Phone(p.ID); ok && here.Phone.Key == key {
			return p.ID
		}
	}
	return ""
}

func (e *Engine) removePhone(operator string, a gateway.RemovePhone) error {
	if _, known := e.state.Phone(a.Phone); !known {
		return refuse(gateway.UnknownPhone, "remove phone %s: no phone of that name is paired", a.Phone)
	}
	if !e.state.CanRemove(a.Phone) {
		return refuse(gateway.PhoneBusy, "remove phone %s: it is in use; release it first", a.Phone)
	}
	e.step(session.Removed{At: time.Now(), Phone: a.Phone})
	e.write(gateway.Record{Kind: gateway.PhoneRemoved, Phone: a.Phone, Operator: operator})
	e.batch.acts = append(e.batch.acts, a)
	e.batch.then = append(e.batch.then, func() {
		e.registry = e.registry.Remove(a.Phone)
		e.cfg.Phones.Forget(a.Phone)
	})
	return nil
}

func (e *Engine) releasePhone(operator string, a gateway.ReleasePhone) error {
	p, known := e.state.Phone(a.Phone)
	switch {
	case !known:
		return refuse(gateway.UnknownPhone, "release phone %s: no phone of that name is paired", a.Phone)
	case p.Phase == session.Foreign:
		return refuse(gateway.ForeignSession, "release phone %s: it is in use on another ward, whose box must release it", a.Phone)
	}
	e.step(session.Ordered{At: time.Now(), Phone: a.Phone, Operator: operator})
	return nil
}

func (e *Engine) loadPolicy(operator string, a gateway.LoadPolicy, doc policy.Document) error {
	next, err := e.policy.Succeed(doc, e.cfg.Ward, e.cfg.BadgeKey)
	if err != nil {
		return err
	}
	now := time.Now()
	barred, change := next.Barred(e.policy, e.judged(now)), next.Since(e.policy)
	e.policy, e.loaded = next, now
	e.write(gateway.Record{
		Kind: gateway.PolicyLoaded, Policy: next.Digest(), State: fmt.Sprintf("version-%d", next.Version()),
		Operator: operator, Words: change.String(),
	})
	if len(barred) > 0 {
		e.step(session.Barred{At: now, Clinicians: barred})
	}
	e.batch.acts = append(e.batch.acts, a)
	return nil
}

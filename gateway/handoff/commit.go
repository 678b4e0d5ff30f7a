package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/policy"
	"tapward/gateway/session"
)

// batch is what one commit will hold, and what is done once it has.
type batch struct {
	before  session.State // state and policy to go back to where nothing could be written
	policy  policy.Snapshot
	steps   []step
	entries []audit.Entry
	acts    []gateway.Act
	then    []func() // what an act changes outside the state
	replies []reply
	show    bool // the picture has changed although no step was made
}

type step struct {
	event   session.Event
	effects []session.Effect
	after   session.State
}

type reply struct {
	done chan<- error
	err  error
}

func (e *Engine) begin() { e.batch = batch{before: e.state, policy: e.policy} }

// step makes one step of the machine and takes its records into the batch.
func (e *Engine) step(event session.Event) {
	after, effects := session.Step(e.state, event)
	e.batch.steps = append(e.batch.steps, step{event, effects, after})
	e.state = after
	for _, eff := range effects {
		if r, ok := eff.(*session.Record); ok {
			e.measure(&r.Record)
			e.write(r.Record)
		}
	}
}

// write takes a record into the batch.
func (e *Engine) write(r gateway.Record) { e.batch.entries = append(e.batch.entries, e.entry(r)) }

func (e *Engine) entry(r gateway.Record) audit.Entry {
	now := time.Now()
	if r.At.IsZero() {
		r.At = now
	}
	if r.Policy.IsZero() {
		r.Policy = e.policy.Digest()
	}
	return audit.Entry{
		Record: r, At: now, Clock: e.clock, Boot: e.cfg.Boot, Uptime: e.cfg.Uptime(), Machine: string(e.cfg.Box),
		PolicySigned: e.policy.Signed(),
	}
}

// finish commits the batch and, only then, performs it.
func (e *Engine) finish() error {
	b := &e.batch
	if e.broken != nil {
		return e.broken
	}
	if len(b.steps) > 0 || len(b.entries) > 0 || len(b.acts) > 0 {
		if err := e.commit(); err != nil {
			return err
		}
		b.show = true
	}
	e.perform()
	if b.show {
		e.show()
	}
	return nil
}

// commit stores the batch. A full disk is a known failure with a second chance in the reserve; anything else is not.
func (e *Engine) commit() error {
	err := e.store()
	if errors.Is(err, gateway.ErrStorageFull) {
		if err = e.cfg.Journal.ReleaseReserve(); err != nil {
			e.cfg.Log.Error("Cannot release the disk's reserve", "err", err)
		}
		err = e.store()
	}
	if errors.Is(err, gateway.ErrStorageFull) {
		e.cfg.Log.Error("Cannot write the log: free the box's disk; phones can only be locked and returned until then")
		e.withoutStore()
		return nil
	}
	if err != nil {
		return fmt.Errorf("commit of %d records, outcome unknown: %w", len(e.batch.entries), err)
	}
	return nil
}

func (e *Engine) store() error {
	entries := slices.Concat(e.pending, e.batch.entries)
	head, err := e.cfg.Journal.Commit(context.Background(), e.state, entries, e.batch.acts...)
	if err != nil {
		return err
	}
	e.head, e.pending = head, nil
	for _, s := range e.batch.steps {
		e.trace(s)
	}
	return nil
}

// contradicted begins a new epoch of the log where one of its own checkpoints shows that it is not what it was.
func (e *Engine) contradicted(m contradicted) {
	ctx := context.Background()
	why, err := e.cfg.Journal.Compare(ctx, m.head)
	if err == nil && why != "" {
		e.head, err = e.cfg.Journal.OpenEpoch(ctx, why, m.checkpoint, e.entry(gateway.Record{}))
		e.batch.show = true
	}
	if err != nil {
		e.broken = fmt.Errorf("open a new epoch of the log: %w", err)
	}
}

// maxPending bounds what is remembered while nothing can be written; the phones' receipts tell it again.
const maxPending = 4096

// withoutStore goes through the batch again for a disk on which nothing can be written: what takes access away is done
// and written down later; what would give access is as if it had never come.
func (e *Engine) withoutStore() {
	b := e.batch
	e.begin()
	e.state, e.policy = b.before, b.policy
	e.storage = gateway.StorageNone
	for _, r := range b.replies {
		e.batch.replies = append(e.batch.replies, reply{r.done, refuse(gateway.StorageExhausted, "the box's disk is full: nothing was changed")})
	}
	for _, s := range b.steps {
		after, effects := session.Step(e.state, s.event)
		if gives(effects) {
			if tap, ok := s.event.(session.Tapped); ok {
				e.batch.steps = append(e.batch.steps, step{effects: []session.Effect{session.Tell{Feedback: gateway.Feedback{
					Reader: tap.Reader, Signal: gateway.Refused, Reason: gateway.StorageExhausted, Who: tap.Clinician,
				}}}})
			}
			continue
		}
		e.state = after
		e.batch.steps = append(e.batch.steps, step{s.event, effects, after})
		for _, eff := range effects {
			if r, ok := eff.(*session.Record); ok && len(e.pending)+len(e.batch.entries) < maxPending {
				e.write(r.Record)
			}
		}
	}
	for _, s := range e.batch.steps {
		e.trace(s)
	}
	e.pending = append(e.pending, e.batch.entries...)
	e.nextLook = time.Now().Add(5 * time.Second)
}

// gives says that effects open or unlock a session, or promise to.
func gives(effects []session.Effect) bool {
	return slices.ContainsFunc(effects, func(eff session.Effect) bool {
		switch eff := eff.(type) {
		case session.Send:
			return eff.Kind == gateway.Bind || eff.Kind == gateway.Renew
		case *session.Record:
			return eff.Kind == gateway.HandOffRequested || eff.Kind == gateway.CheckOutRequested
		}
		return false
	})
}

// trace writes a step down where the configuration asks for it. It is a help for engineers: a failure is logged, no more.
func (e *Engine) trace(s step) {
	if e.cfg.Trace == nil || s.event == nil {
		return
	}
	t, err := session.NewTrace(s.event, s.after, s.effects)
	if err == nil {
		err = json.NewEncoder(e.cfg.Trace).Encode(t)
	}
	if err != nil {
		e.cfg.Log.Warn("Cannot write the trace", "err", err)
	}
}

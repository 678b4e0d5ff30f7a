package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/policy"
	"tapward/gateway/session"
)

// batch is what one commit will hold, and what is done once it has.
type batch struct {
	began   time.Time
	before  session.State // state, policy and take-overs as they were, for where nothing could be written
	policy  policy.Snapshot
	loaded  time.Time
	armed   map[gateway.ReaderID]takeover
	steps   []step
	entries []audit.Entry
	facts   []audit.Entry // those of them that hold whether they can be written or not
	acts    []gateway.Act
	then    []func() // what an act changes outside the state
	replies []reply
	outside []contradicted // evidence against the log
	show    bool           // the picture has changed although no step was made
}

type step struct {
	event   session.Event
	act     gateway.Act // nil: no operator's
	effects []session.Effect
	after   session.State
}

type reply struct {
	done     chan<- error
	operator string
	act      gateway.Act
	err      error
}

func (e *Engine) begin() {
	e.batch = batch{began: time.Now(), before: e.state, policy: e.policy, loaded: e.loaded}
	if len(e.armed) > 0 {
		e.batch.armed = maps.Clone(e.armed)
	}
}

// step makes one step of the machine and takes its records into the batch.
func (e *Engine) step(event session.Event) {
	after, effects := session.Step(e.state, event)
	e.batch.steps = append(e.batch.steps, step{event: event, effects: effects, after: after})
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

// note takes a record into the batch that holds whether it can be written or not: of a reader, the clock, a stranger, the
// box, a refused act, the end of a take-over.
func (e *Engine) note(r gateway.Record) {
	entry := e.entry(r)
	e.batch.entries, e.batch.facts = append(e.batch.entries, entry), append(e.batch.facts, entry)
}

func (e *Engine) entry(r gateway.Record) audit.Entry {
	now := time.Now()
	if r.At.IsZero() {
		r.At = now
	}
	if r.Policy.IsZero() {
		r.Policy = e.policy.Digest()
	}
	uptime := e.cfg.Uptime()
	return audit.Entry{
		Record: r, At: now, Clock: e.believed(now, uptime), Boot: e.cfg.Boot, Uptime: uptime, Machine: string(e.cfg.Box),
		PolicySigned: e.policy.Signed(),
	}
}

// finish commits the batch and, only then, performs it. What contradicts the log comes last: the first record of the
// epoch that it opens must not be older than one before it.
func (e *Engine) finish() error {
	b := &e.batch
	outside := b.outside
	if len(b.steps) > 0 || len(b.entries) > 0 || len(b.acts) > 0 || len(outside) > 0 && len(e.pending) > 0 {
		if err := e.commit(); err != nil {
			return err
		}
		b.show = true
	}
	e.perform()
	for _, m := range outside {
		if err := e.compare(m); err != nil {
			return err
		}
	}
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
	e.prepare()
	entries := slices.Concat(e.pending, e.batch.entries)
	head, err := e.cfg.Journal.Commit(context.Background(), e.state, entries, slices.Concat(e.owed, e.batch.acts)...)
	if err != nil {
		return err
	}
	e.head, e.pending, e.owed = head, nil, nil
	e.raiseFloor(entries)
	for _, s := range e.batch.steps {
		e.trace(s)
	}
	return nil
}

// compare begins a new epoch of the log where one of its own checkpoints shows that it is not what it was.
func (e *Engine) compare(m contradicted) error {
	ctx := context.Background()
	why, err := e.cfg.Journal.Compare(ctx, m.head)
	if err == nil && why != "" && len(e.pending) > 0 {
		err = gateway.ErrStorageFull // they are older
	}
	if err == nil && why != "" {
		e.head, err = e.cfg.Journal.OpenEpoch(ctx, why, m.checkpoint, e.entry(gateway.Record{}))
		e.batch.show = true
	}
	if errors.Is(err, gateway.ErrStorageFull) {
		e.cfg.Log.Error("Cannot open a new epoch of the log: free the box's disk; the phone's next hello tries again")
		return nil
	}
	if err != nil {
		return fmt.Errorf("open a new epoch of the log: %w", err)
	}
	return nil
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

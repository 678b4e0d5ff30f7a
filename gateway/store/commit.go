package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
)

// batch is all that one transaction writes.
type batch struct {
	leaves  []leafRow
	tree    audit.Tree // after the leaves
	changed []*committedPhone
	removed []gateway.PhoneID
	custody gateway.Custody
	acts    []gateway.Act
}

// committedPhone is a phone as last committed: as it was given, to see at a glance that nothing changed, and as written.
type committedPhone struct {
	given session.Phone
	row   sessionRow
}

type leafRow struct {
	id       int64
	body     []byte
	hashes   []byte
	openings []audit.Opening
}

// Commit makes state, entries and the durable part of acts (of phones, policy and revocations) one transaction, durable
// when it returns without an error, and gives the log's new head. Only what changed since the last Commit is written. An
// entry's Boot and Machine are filled in where they are empty. A cancelled ctx stops nothing: the tap that began it may be
// gone, what happened has happened.
//
// gateway.ErrStorageFull: nothing changed. What takes access away may be tried again after ReleaseReserve. Any other
// error: the outcome is unknown, the store refuses everything from then on, and the caller ends the process and starts
// again from the database.
func (s *Store) Commit(ctx context.Context, state session.State, entries []audit.Entry, acts ...gateway.Act) (audit.Head, error) {
	if err := s.thaw(ctx); err != nil {
		return s.tree.Head(), fmt.Errorf("commit: %w", err)
	}
	b, err := s.gather(state, entries, acts)
	if err != nil {
		return s.tree.Head(), fmt.Errorf("commit: %w", err)
	}
	if err := s.transact(ctx, func(ctx context.Context) error { return s.write(ctx, b) }); err != nil {
		return s.tree.Head(), fmt.Errorf("commit: %w", err)
	}
	s.tree, s.custody = b.tree, b.custody
	for _, p := range b.changed {
		s.sessions[p.row.phone] = p
	}
	for _, id := range b.removed {
		delete(s.sessions, id)
	}
	return s.announce(), nil
}

// gather seals the entries and finds what changed. It writes nothing.
func (s *Store) gather(state session.State, entries []audit.Entry, acts []gateway.Act) (batch, error) {
	b := batch{tree: s.tree, custody: state.Custody, acts: acts}
	for _, e := range entries {
		row, tree, err := s.seal(b.tree, e)
		if err != nil {
			return b, err
		}
		b.leaves, b.tree = append(b.leaves, row), tree
	}
	known := 0
	for i := range state.Phones {
		p := &state.Phones[i]
		old := s.sessions[p.ID]
		if old != nil {
			known++
		}
		if old != nil && old.given == *p {
			continue
		}
		if row := rowOf(*p); old == nil || old.row != row {
			b.changed = append(b.changed, &committedPhone{*p, row})
		}
	}
	if known < len(s.sessions) {
		b.removed = s.gone(state)
	}
	return b, nil
}

// gone are the committed phones that a state no longer has.
func (s *Store) gone(state session.State) []gateway.PhoneID {
	var gone []gateway.PhoneID
	for id := range s.sessions {
		if _, kept := state.Phone(id); !kept {
			gone = append(gone, id)
		}
	}
	return gone
}

// seal makes the next leaf of a tree.
func (s *Store) seal(tree audit.Tree, e audit.Entry) (leafRow, audit.Tree, error) {
	if e.Boot == 0 {
		e.Boot = s.boot
	}
	if e.Machine == "" {
		e.Machine = string(s.config.Box)
	}
	index := tree.Size()
	body, openings, err := audit.Seal(tree.Epoch, index, e, s.config.Random)
	if err != nil {
		return leafRow{}, tree, err
	}
	next, completed := tree.Append(body)
	return leafRow{id: leafID(tree.Epoch, index), body: body, hashes: join(completed), openings: openings}, next, nil
}

func join(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

func (s *Store) write(ctx context.Context, b batch) error {
	if err := s.writeLeaves(ctx, b.leaves); err != nil {
		return err
	}
	for _, p := range b.changed {
		if _, err := s.statements.session.ExecContext(ctx, p.row.args()...); err != nil {
			return fmt.Errorf("write session of %s: %w", p.row.phone, err)
		}
	}
	for _, id := range b.removed {
		if _, err := s.statements.forget.ExecContext(ctx, string(id)); err != nil {
			return fmt.Errorf("remove session of %s: %w", id, err)
		}
	}
	if b.custody != s.custody {
		if _, err := s.statements.custody.ExecContext(ctx, int64(b.custody)); err != nil {
			return fmt.Errorf("write custody: %w", err)
		}
	}
	for _, act := range b.acts {
		if err := s.writeAct(ctx, act); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) writeLeaves(ctx context.Context, leaves []leafRow) error {
	for _, row := range leaves {
		if _, err := s.statements.leaf.ExecContext(ctx, row.id, row.body, row.hashes); err != nil {
			return fmt.Errorf("write leaf: %w", err)
		}
		for _, o := range row.openings {
			if _, err := s.statements.opening.ExecContext(ctx, row.id, string(o.Field), o.Salt[:], o.Value); err != nil {
				return fmt.Errorf("write opening: %w", err)
			}
		}
	}
	return nil
}

// writeAct writes the durable part of an operator's act; the rest of an act is in the state and the leaves.
func (s *Store) writeAct(ctx context.Context, act gateway.Act) error {
	switch act := act.(type) {
	case gateway.AddPhone:
		addrs, err := json.Marshal(act.Phone.Addrs)
		if err != nil {
			return fmt.Errorf("add phone %s: %w", act.Phone.ID, err)
		}
		_, err = s.conn.ExecContext(ctx, `
INSERT INTO phone (id, key, class, pool, addrs) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET key = excluded.key, class = excluded.class, pool = excluded.pool, addrs = excluded.addrs`,
			string(act.Phone.ID), act.Phone.Key[:], string(act.Phone.Class), act.Phone.Pool, string(addrs))
		if err != nil {
			return fmt.Errorf("add phone %s: %w", act.Phone.ID, err)
		}
	case gateway.RemovePhone:
		if _, err := s.conn.ExecContext(ctx, `DELETE FROM phone WHERE id = ?`, string(act.Phone)); err != nil {
			return fmt.Errorf("remove phone %s: %w", act.Phone, err)
		}
	case gateway.InstallRevocations:
		return s.writeRevocations(ctx, act.Revocations)
	case gateway.LoadPolicy:
		digest := sha256.Sum256(act.Document)
		_, err := s.conn.ExecContext(ctx, `
INSERT INTO policy (id, revision, digest, loaded, document) VALUES (1, 1, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET revision = revision + 1,
    digest = excluded.digest, loaded = excluded.loaded, document = excluded.document`,
			digest[:], time.Now().UnixNano(), act.Document)
		if err != nil {
			return fmt.Errorf("load policy: %w", err)
		}
	}
	return nil
}

// announce publishes the head to readers and wakes Run.
func (s *Store) announce() audit.Head {
	head := s.tree.Head()
	s.mu.Lock()
	s.head = head
	s.mu.Unlock()
	select {
	case s.committed <- struct{}{}:
	default: // a token lies there already
	}
	return head
}

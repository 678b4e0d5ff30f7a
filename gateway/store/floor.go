package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tapward/gateway/audit"
)

// synchronised is how a leaf's bytes begin to say that its clock was: docs/audit.md, key 6. Other text may hold the same
// bytes, so that what is found is decoded too.
var synchronised = append([]byte{6, 0x60 + byte(len(audit.Synchronised))}, audit.Synchronised...)

// Floor is a time that has surely passed, as the log knows: that of the newest leaf whose clock was synchronised, and
// what the boot clocks have counted since, of which this boot's is at uptime now. What the box was off counts for
// nothing, because nobody knows it. Zero: no leaf's clock was ever synchronised. It is for the start: it may read the
// whole log.
func (s *Store) Floor(ctx context.Context, uptime time.Duration) (time.Time, error) {
	at, err := s.floor(ctx, uptime)
	if err != nil {
		return time.Time{}, fmt.Errorf("look for the newest time in the log: %w", err)
	}
	return at, nil
}

func (s *Store) floor(ctx context.Context, uptime time.Duration) (time.Time, error) {
	tx, err := s.Log.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return time.Time{}, err
	}
	defer tx.Rollback()
	id, newest, err := newestSynchronised(ctx, tx)
	if err != nil || newest.At.IsZero() {
		return time.Time{}, err
	}
	counted := time.Duration(0)
	boot, from, to := newest.Boot, newest.Uptime, newest.Uptime
	err = eachLeaf(ctx, tx, func(_ int64, e audit.Entry) error {
		if e.Boot != boot {
			counted += to - from
			boot, from, to = e.Boot, 0, 0
		}
		to = max(to, e.Uptime)
		return nil
	}, `SELECT id, body FROM leaf WHERE id > ? ORDER BY id`, id)
	if err != nil {
		return time.Time{}, err
	}
	if s.boot != boot {
		counted += to - from
		from, to = 0, 0
	}
	return newest.At.Add(counted + max(to, uptime) - from), nil
}

// newestSynchronised is the newest entry that a synchronised clock stamped; zero where there is none.
func newestSynchronised(ctx context.Context, q querier) (id int64, newest audit.Entry, err error) {
	found := errors.New("found")
	err = eachLeaf(ctx, q, func(at int64, e audit.Entry) error {
		if e.Clock != audit.Synchronised {
			return nil
		}
		id, newest = at, e
		return found
	}, `SELECT id, body FROM leaf WHERE instr(body, ?) > 0 ORDER BY id DESC`, synchronised)
	if err == found {
		err = nil
	}
	return id, newest, err
}

// eachLeaf decodes what a query for leaves finds, until do fails. A damaged leaf is for verify to find.
func eachLeaf(ctx context.Context, q querier, do func(id int64, e audit.Entry) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var body sql.RawBytes
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		leaf, err := audit.Decode(body)
		if err != nil {
			continue
		}
		if err := do(id, leaf.Entry); err != nil {
			return err
		}
	}
	return rows.Err()
}

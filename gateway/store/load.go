package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/gateway/session"
)

// Load reads everything a restart needs, as of the newest commit. Phone.For, By and Linked are not durable and come
// back empty.
func (s *Store) Load(ctx context.Context) (Stored, error) {
	tx, err := s.Log.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return Stored{}, fmt.Errorf("load: %w", err)
	}
	defer tx.Rollback()
	stored := Stored{Head: s.Head(), Boot: s.boot, SameBoot: s.sameBoot}
	if stored.State, err = readState(ctx, tx); err != nil {
		return Stored{}, fmt.Errorf("load session state: %w", err)
	}
	if stored.Paired, err = readPaired(ctx, tx); err != nil {
		return Stored{}, fmt.Errorf("load paired phones: %w", err)
	}
	if err := readPolicy(ctx, tx, &stored); err != nil {
		return Stored{}, fmt.Errorf("load policy: %w", err)
	}
	if err := s.readRevocations(ctx, tx, &stored); err != nil {
		return Stored{}, fmt.Errorf("load revocations: %w", err)
	}
	return stored, nil
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readState(ctx context.Context, q querier) (session.State, error) {
	var state session.State
	var custody int64
	if err := q.QueryRowContext(ctx, `SELECT box, custody FROM ward`).Scan(&state.Box, &custody); err != nil {
		return state, err
	}
	state.Custody = gateway.Custody(custody)
	rows, err := q.QueryContext(ctx, selectSessions)
	if err != nil {
		return state, err
	}
	defer rows.Close()
	for rows.Next() {
		p, err := scanPhone(rows)
		if err != nil {
			return state, err
		}
		state.Phones = append(state.Phones, p)
	}
	return state, rows.Err()
}

func readPaired(ctx context.Context, q querier) ([]gateway.Phone, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, key, class, pool, addrs FROM phone ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var paired []gateway.Phone
	for rows.Next() {
		var p gateway.Phone
		var key, addrs []byte
		if err := rows.Scan(&p.ID, &key, &p.Class, &p.Pool, &addrs); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(addrs, &p.Addrs); err != nil {
			return nil, fmt.Errorf("addresses of %s: %w", p.ID, err)
		}
		copy(p.Key[:], key)
		paired = append(paired, p)
	}
	return paired, rows.Err()
}

func readPolicy(ctx context.Context, q querier, stored *Stored) error {
	var loaded int64
	var digest []byte
	row := q.QueryRowContext(ctx, `SELECT revision, digest, loaded, document FROM policy`)
	err := row.Scan(&stored.PolicyRevision, &digest, &loaded, &stored.Policy)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	copy(stored.PolicyDigest[:], digest)
	stored.PolicyLoaded = time.Unix(0, loaded)
	if sha256.Sum256(stored.Policy) != stored.PolicyDigest {
		stored.Policy = nil
		stored.PolicyDamage = errors.New("the stored policy does not match its digest: it was changed in the database; load the policy again")
	}
	return nil
}

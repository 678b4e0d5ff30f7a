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
)

// writeRevocations replaces the list, in the transaction of whoever calls it. That it is a newer one is the caller's to see
// to.
func (s *Store) writeRevocations(ctx context.Context, r gateway.Revocations) error {
	list, err := json.Marshal(r.List)
	if err != nil {
		return fmt.Errorf("install revocations: %w", err)
	}
	sum := sha256.Sum256(list)
	_, err = s.conn.ExecContext(ctx, `
INSERT INTO revocations (id, through, digest, issued, loaded, list, sum) VALUES (1, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET through = excluded.through, digest = excluded.digest, issued = excluded.issued,
    loaded = excluded.loaded, list = excluded.list, sum = excluded.sum`,
		int64(r.Through), r.Digest[:], r.Issued.UnixNano(), time.Now().UnixNano(), string(list), sum[:])
	if err != nil {
		return fmt.Errorf("install revocations: %w", err)
	}
	return nil
}

// readRevocations loads the list. A damaged one cannot say who is not revoked, so nobody is let in until a policy is
// loaded again; the hub's next message brings the list.
func (s *Store) readRevocations(ctx context.Context, q querier, stored *Stored) error {
	var through, issued int64
	var digest, list, sum []byte
	row := q.QueryRowContext(ctx, `SELECT through, digest, issued, list, sum FROM revocations`)
	err := row.Scan(&through, &digest, &issued, &list, &sum)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	r := gateway.Revocations{Through: uint64(through), Issued: time.Unix(0, issued)}
	copy(r.Digest[:], digest)
	if have := sha256.Sum256(list); string(have[:]) != string(sum) || json.Unmarshal(list, &r.List) != nil {
		stored.Policy = nil
		stored.PolicyDamage = errors.New("the stored revocations were changed in the database; load the policy again")
		return nil
	}
	stored.Revocations = r
	return nil
}

package database

import (
	"context"
	"errors"
	"fmt"
)

// Claim says whose database it is, by a digest of the hub's public keys: the first hub's that claims it. A hub with other
// keys would write logs that nobody can verify, and is refused.
func (db *DB) Claim(ctx context.Context, keys string) error {
	if _, err := db.ExecContext(ctx, `INSERT INTO hub (id, keys) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`, keys); err != nil {
		return fmt.Errorf("ask whose database it is: %w", err)
	}
	var owner string
	if err := db.QueryRowContext(ctx, `SELECT keys FROM hub WHERE id = 1`).Scan(&owner); err != nil {
		return fmt.Errorf("ask whose database it is: %w", err)
	}
	if owner != keys {
		return errors.New("the database belongs to a hub with other keys: put back the keys of that hub, or give this one a database of its own")
	}
	return nil
}

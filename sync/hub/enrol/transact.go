package enrol

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tapward/sync/claim"
)

// decide runs do in one transaction, after every other decision about the same subject and before the next.
func (r *Registrar) decide(ctx context.Context, s claim.Subject, do func(*sql.Tx) error) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin a decision: %w", err)
	}
	defer tx.Rollback()
	_, err = tx.ExecContext(ctx, `INSERT INTO enrol_turn (subject, at) VALUES ($1, $2)
		ON CONFLICT (subject) DO UPDATE SET at = excluded.at`, s.URI().String(), time.Now().UnixNano())
	if err != nil {
		return fmt.Errorf("take a turn: %w", err)
	}
	if err := do(tx); err != nil {
		return err
	}
	return r.commit(tx)
}

func (r *Registrar) commit(tx *sql.Tx) error {
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit a decision: %w", err)
	}
	select {
	case r.decided <- struct{}{}:
	default:
	}
	return nil
}

// flag is a yes or no as both engines store it.
func flag(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// changedOne tells whether a statement with conditions found its row.
func changedOne(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

func none(err error) bool { return errors.Is(err, sql.ErrNoRows) }

func needPerson(person string) error {
	if person == "" {
		return errors.New("who decides this must be named")
	}
	return nil
}

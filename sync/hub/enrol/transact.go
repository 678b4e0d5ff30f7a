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

// maxSaid bounds a name or a reason that a person gives, in bytes: it goes into the audit, and stays there.
const maxSaid = 1024

func needPerson(person string) error { return need("who decides this", person) }

func needWhy(why string) error { return need("why", why) }

func need(what, text string) error {
	switch {
	case text == "":
		return fmt.Errorf("%s must be said, for whoever reads the log later", what)
	case len(text) > maxSaid:
		return fmt.Errorf("%s is said in %d bytes: at most %d are kept, make it shorter", what, len(text), maxSaid)
	}
	return nil
}

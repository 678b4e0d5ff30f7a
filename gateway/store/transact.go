package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"

	"tapward/gateway"
)

// statements are prepared once, on the writer's one connection. The transaction's own are among them: database/sql's Tx
// would parse them anew and start a goroutine for each commit, on a tap's path.
type statements struct {
	begin, commit, rollback                 *sql.Stmt
	leaf, opening, session, forget, custody *sql.Stmt
}

// prepareStatements makes ready what a commit needs: the statements and, on a disk with room to spare, the WAL.
func (s *Store) prepareStatements(ctx context.Context) error {
	for to, query := range map[**sql.Stmt]string{
		&s.statements.begin:    `BEGIN IMMEDIATE`,
		&s.statements.commit:   `COMMIT`,
		&s.statements.rollback: `ROLLBACK`,
		&s.statements.leaf:     `INSERT INTO leaf (id, body, hashes) VALUES (?, ?, ?)`,
		&s.statements.opening:  `INSERT INTO opening (leaf, field, salt, value) VALUES (?, ?, ?, ?)`,
		&s.statements.session:  upsertSession,
		&s.statements.forget:   `DELETE FROM session WHERE phone = ?`,
		&s.statements.custody:  `UPDATE ward SET custody = ?`,
	} {
		stmt, err := s.conn.PrepareContext(ctx, query)
		if err != nil {
			return fmt.Errorf("prepare statements: %w", err)
		}
		*to, s.prepared = stmt, append(s.prepared, stmt)
	}
	free, err := s.reserve.free()
	if err != nil || free < s.reserve.lowWater+walRoom {
		return err
	}
	return extendWAL(s.config.Path)
}

// transact runs fn in one immediate transaction that no cancellation reaches, and sorts its failure: gateway.ErrStorageFull, where
// SQLite knows that nothing was written, or an unknown outcome, after which the store is broken.
func (s *Store) transact(ctx context.Context, fn func(context.Context) error) error {
	if s.broken != nil {
		return fmt.Errorf("the store is closed to writing since an earlier failure: %w", s.broken)
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	ctx = context.WithoutCancel(ctx)
	_, err := s.statements.begin.ExecContext(ctx)
	if err == nil {
		if err = fn(ctx); err == nil {
			_, err = s.statements.commit.ExecContext(ctx)
		}
		if err != nil {
			err = errors.Join(err, s.rollback(ctx))
		}
	}
	if isFull(err) {
		s.reserve.noteFull()
		return fmt.Errorf("%w: %w", gateway.ErrStorageFull, err)
	}
	s.broken = err
	return err
}

// rollback ends a transaction that SQLite may have ended already, as it does when the disk is full.
func (s *Store) rollback(ctx context.Context) error {
	_, err := s.statements.rollback.ExecContext(ctx)
	if known := (sqlite3.Error{}); errors.As(err, &known) && known.Code == sqlite3.ErrError {
		return nil // "no transaction is active"
	}
	return err
}

// isFull holds only for what SQLite reports before it has written a commit mark. No room while a flush or the shared
// index is written is another code, and there the outcome is unknown.
func isFull(err error) bool {
	known := sqlite3.Error{}
	return errors.As(err, &known) && known.Code == sqlite3.ErrFull
}

package store

import (
	"context"
	"errors"
	"fmt"

	"tapward/gateway"
)

// A store is frozen where Open finds no room on the disk even without the reserve: SQLite could not make the files that
// it needs beside the database. It then reads what stands, so that the box opens and takes access away; every Commit says
// gateway.ErrStorageFull, and the first that finds room thaws the store and goes on as if Open had only now been called.

// openFrozen takes the log and the state up where they stand, without writing anything.
func (s *Store) openFrozen(ctx context.Context, schema int64) error {
	if schema < newestSchema() {
		return fmt.Errorf("%s must first be brought up to date, for which there is no room: free the disk", s.config.Path)
	}
	s.config.Log.Error("There is no room on the disk, even without the reserve: phones can only be locked and returned until it is freed")
	s.reserve.noteFull()
	s.Log.db.SetMaxOpenConns(1)
	s.Log.db.SetMaxIdleConns(0) // whoever does not read has nothing open, which would be in the writer's way
	return errors.Join(s.readBoot(ctx), s.readStanding(ctx))
}

// thaw makes a frozen store write again, or says gateway.ErrStorageFull. After any other error the process ends and
// starts again. It belongs to the goroutine that commits.
func (s *Store) thaw(ctx context.Context) error {
	if !s.frozen.Load() || s.broken != nil {
		return nil
	}
	if cramped, err := s.reserve.cramped(); err != nil || cramped {
		return errors.Join(gateway.ErrStorageFull, err)
	}
	if err := s.openWriting(context.WithoutCancel(ctx), newestSchema()); err != nil {
		s.broken = fmt.Errorf("open for writing after the disk was freed: %v", err) // half open: no longer merely full
		return s.broken
	}
	s.config.Log.Info("There is room on the disk again")
	return nil
}

// unfreeze gives the log's readers ordinary connections. The writer has one by now, and so the WAL is recovered.
func (s *Store) unfreeze() {
	s.frozen.Store(false)
	s.Log.db.SetMaxOpenConns(readers)
	s.Log.db.SetMaxIdleConns(readers)
}

// readLog is the kind of connection that reads the log of a store, frozen or not.
func (s *Store) readLog(path string) (kind, error) {
	if s.frozen.Load() {
		return frozen(path)
	}
	return reading(path)
}

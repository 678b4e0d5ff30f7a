package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mattn/go-sqlite3"

	"tapward/gateway/audit"
)

const (
	anchorPace  = 100 * time.Millisecond // between a commit and the anchor write for it and what follows, so that taps have the disk
	idleTime    = time.Second            // without a commit before the WAL is moved into the database
	reservePace = 5 * time.Second        // between looks at the free space
)

// Run does what must not wait on a tap's path: it signs a checkpoint for the newest head, makes it durable outside the
// database and only then publishes it; moves the WAL into the database when nobody taps; and restores the reserve. It
// returns nil after ctx ended. An error means that the disk failed under it: the process should end.
func (s *Store) Run(ctx context.Context) error {
	idle, space := time.NewTimer(idleTime), time.NewTicker(reservePace)
	defer idle.Stop()
	defer space.Stop()
	var paced <-chan time.Time // set while the anchor waits
	committed := s.committed
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-committed:
			idle.Reset(idleTime)
			paced, committed = time.After(anchorPace), nil
		case <-paced:
			err = s.publish()
			paced, committed = nil, s.committed
		case <-idle.C:
			if !s.frozen.Load() {
				err = s.settle(ctx)
			}
		case <-space.C:
			err = s.reserve.restore()
		}
		if err != nil {
			return fmt.Errorf("keep store: %w", err)
		}
	}
}

// publish signs the newest head, writes it to the anchor and makes it the Checkpoint.
func (s *Store) publish() error {
	head := s.Head()
	if s.config.Signer == nil || head.Size == 0 {
		return nil
	}
	checkpoint, err := audit.SignCheckpoint(s.config.Box, head, s.config.Signer)
	if err != nil || checkpoint == s.Checkpoint() {
		return err
	}
	if err := s.anchor.write(checkpoint); err != nil {
		return err
	}
	s.newest.Store(&checkpoint)
	return nil
}

// settle moves what it can of the WAL into the database, in the way of nobody. A full disk leaves it for later.
func (s *Store) settle(ctx context.Context) error {
	var busy, frames, moved int
	row := s.maintenance.QueryRowContext(context.WithoutCancel(ctx), `PRAGMA wal_checkpoint(PASSIVE)`)
	err := row.Scan(&busy, &frames, &moved)
	if known := (sqlite3.Error{}); errors.As(err, &known) && (known.Code == sqlite3.ErrFull || known.Code == sqlite3.ErrBusy) {
		s.config.Log.Warn("Left the write-ahead log as it is", "err", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("checkpoint the write-ahead log: %w", err)
	}
	return nil
}

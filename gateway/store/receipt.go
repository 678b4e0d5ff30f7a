package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// pruneSchema is the first schema that knows receipts and pruned records.
const pruneSchema = 2

// Receipt is what the hospital said last about one epoch. Stored is a checkpoint of this box with the hub's cosignature;
// whoever relies on it checks both.
type Receipt struct {
	Epoch  uint32
	Size   int64 // records that it covers
	Stored string
	Heard  time.Time
}

// Receipts are the newest of each epoch, oldest epoch first.
func (l Log) Receipts(ctx context.Context) ([]Receipt, error) {
	if l.old {
		return nil, nil
	}
	rows, err := l.db.QueryContext(ctx, `SELECT epoch, size, stored, heard FROM receipt ORDER BY epoch`)
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	defer rows.Close()
	var receipts []Receipt
	for rows.Next() {
		var r Receipt
		var heard int64
		if err := rows.Scan(&r.Epoch, &r.Size, &r.Stored, &heard); err != nil {
			return nil, fmt.Errorf("read receipts: %w", err)
		}
		r.Heard = time.Unix(0, heard)
		receipts = append(receipts, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	return receipts, nil
}

// KeepReceipt makes the newest receipt of an epoch durable, also one that covers less than the one before, as after a
// restore in the hospital. Size zero: there is none any more. gateway.ErrStorageFull: nothing changed.
func (s *Store) KeepReceipt(ctx context.Context, epoch uint32, size int64, stored string) error {
	err := s.aside(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if size == 0 {
			_, err := tx.ExecContext(ctx, `DELETE FROM receipt WHERE epoch = ?`, epoch)
			return err
		}
		_, err := tx.ExecContext(ctx, `
INSERT INTO receipt (epoch, size, stored, heard) VALUES (?, ?, ?, ?)
ON CONFLICT (epoch) DO UPDATE SET size = excluded.size, stored = excluded.stored, heard = excluded.heard`,
			epoch, size, stored, time.Now().UnixNano())
		return err
	})
	if err != nil {
		return fmt.Errorf("keep receipt: %w", err)
	}
	return nil
}

// Outgoing is the whole log as it may leave the box, oldest epoch first.
func (s *Store) Outgoing(ctx context.Context) ([]audit.Outgoing, error) {
	var safe audit.Head
	if c := s.Checkpoint(); c != "" { // read first: the log only grows
		var err error
		if _, safe, err = audit.PeekCheckpoint(c); err != nil {
			return nil, fmt.Errorf("read the log's outgoing records: %w", err)
		}
	}
	epochs, err := s.Epochs(ctx)
	if err != nil {
		return nil, err
	}
	receipts, err := s.Receipts(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]audit.Outgoing, len(epochs))
	for i, e := range epochs {
		o := audit.Outgoing{Epoch: e.Number, Size: e.Size, Ended: i < len(epochs)-1}
		switch {
		case e.Number == safe.Epoch:
			o.Safe = min(safe.Size, e.Size)
		case e.Number < safe.Epoch: // the first leaf of the next epoch, which is safe, says how this one ended
			o.Safe = e.Size
		}
		if o.Ended {
			o.Forked = epochs[i+1].Why == audit.Forked
		}
		for _, r := range receipts {
			if r.Epoch == e.Number {
				o.Stored = r.Stored
			}
		}
		if o.Pruned, err = s.PrunedBelow(ctx, e.Number); err != nil {
			return nil, err
		}
		out[i] = o
	}
	return out, nil
}

// aside runs fn in a transaction beside those of the loop, never in the middle of one, and holds up a commit for no longer
// than fn takes. gateway.ErrStorageFull: nothing changed.
func (s *Store) aside(ctx context.Context, fn func(context.Context, *sql.Tx) error) (err error) {
	if s.frozen.Load() {
		return gateway.ErrStorageFull
	}
	conn, err := s.maintenance.Conn(ctx) // before the turn: the WAL may just be moved by it, which takes long
	if err != nil {
		return err
	}
	defer conn.Close()
	s.turn.Lock()
	defer s.turn.Unlock()
	ctx = context.WithoutCancel(ctx)
	tx, err := conn.BeginTx(ctx, nil)
	if err == nil {
		if err = fn(ctx, tx); err == nil {
			err = tx.Commit()
		}
		tx.Rollback()
	}
	if isFull(err) {
		return fmt.Errorf("%w: %w", gateway.ErrStorageFull, err)
	}
	return err
}

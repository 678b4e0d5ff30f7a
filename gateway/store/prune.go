package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"syscall"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// Prune lets go of the leaves and openings of records of an epoch from an index on, at most so many at a time, and keeps
// their hashes. next is where to go on; it is from where nothing more can go for now.
//
// Only what the epoch's receipt covers goes, and of that only what is older than the retention. Age is told by the log
// itself, against its newest record with a synchronised clock: all records before one that is old are old, whatever their
// own clocks said; and a log that knows no time keeps everything. An epoch's first and newest records stay, and those of
// a session that is not over. gateway.ErrStorageFull: nothing changed.
func (s *Store) Prune(ctx context.Context, epoch uint32, from int64, retention time.Duration, most int) (next int64, pruned int, err error) {
	next, pruned, err = s.prune(ctx, epoch, max(from, 1), retention, most)
	if err != nil {
		return from, 0, fmt.Errorf("prune: %w", err)
	}
	return max(next, from), pruned, nil
}

func (s *Store) prune(ctx context.Context, epoch uint32, from int64, retention time.Duration, most int) (int64, int, error) {
	end, err := s.prunable(ctx, epoch)
	if err != nil || from >= end {
		return from, 0, err
	}
	old, err := s.oldEnd(ctx, leafID(epoch, from), retention, most)
	if err != nil {
		return from, 0, err
	}
	first, limit := leafID(epoch, from), min(old, leafID(epoch, end))
	open, err := openSessions(ctx, s.Log.db)
	if err != nil {
		return from, 0, err
	}
	next, count := from, 0
	var runs [][2]int64 // of row ids, both ends included
	err = eachLeaf(ctx, s.Log.db, func(id int64, e audit.Entry) error {
		next = indexOf(id) + 1
		if open[sessionOf{e.Record.Phone, e.Record.Custody}] {
			return nil
		}
		if n := len(runs); n > 0 && runs[n-1][1] == id-1 {
			runs[n-1][1] = id
		} else {
			runs = append(runs, [2]int64{id, id})
		}
		count++
		return nil
	}, `SELECT id, body FROM leaf WHERE id >= ? AND id < ? ORDER BY id LIMIT ?`, first, limit, most)
	if err != nil || count == 0 {
		return next, 0, err
	}
	return next, count, s.aside(ctx, func(ctx context.Context, tx *sql.Tx) error { return letGo(ctx, tx, runs) })
}

// letGo moves what the tree needs and deletes the rest.
func letGo(ctx context.Context, tx *sql.Tx, runs [][2]int64) error {
	for _, r := range runs {
		for _, statement := range []string{
			`INSERT INTO pruned (id, hashes) SELECT id, hashes FROM leaf WHERE id BETWEEN ? AND ?`,
			`DELETE FROM opening WHERE leaf BETWEEN ? AND ?`,
			`DELETE FROM leaf WHERE id BETWEEN ? AND ?`,
		} {
			if _, err := tx.ExecContext(ctx, statement, r[0], r[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// prunable is the index below which the hospital has everything, short of the epoch's newest record.
func (s *Store) prunable(ctx context.Context, epoch uint32) (int64, error) {
	var size int64
	var stored string
	err := s.Log.db.QueryRowContext(ctx, `SELECT size, stored FROM receipt WHERE epoch = ?`, epoch).Scan(&size, &stored)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var last sql.NullInt64
	row := s.Log.db.QueryRowContext(ctx, `SELECT max(id) FROM leaf WHERE id >= ? AND id < ?`, leafID(epoch, 0), leafID(epoch+1, 0))
	if err := row.Scan(&last); err != nil || !last.Valid {
		return 0, err
	}
	_, head, err := audit.PeekCheckpoint(stored)
	if err != nil || head.Epoch != epoch || head.Size != size {
		s.config.Log.Error("Prune nothing: the stored receipt is damaged", "epoch", epoch)
		return 0, nil
	}
	consistent, err := audit.Consistent(head, indexOf(last.Int64)+1, s.Hashes(ctx, epoch))
	if err != nil {
		return 0, err
	}
	if !consistent {
		s.config.Log.Error("Prune nothing: the hospital's receipt is of another log than this one", "epoch", epoch)
		return 0, nil
	}
	return min(size, indexOf(last.Int64)), nil
}

// oldEnd is the row before which, from a row on, everything is older than the retention; it looks at so many rows that
// know the time.
func (s *Store) oldEnd(ctx context.Context, first int64, retention time.Duration, most int) (int64, error) {
	_, newest, err := newestSynchronised(ctx, s.Log.db)
	if err != nil || newest.At.IsZero() {
		return first, err
	}
	since, old, young := newest.At.Add(-retention), first, errors.New("young")
	err = eachLeaf(ctx, s.Log.db, func(id int64, e audit.Entry) error {
		switch {
		case e.Clock != audit.Synchronised:
		case !e.At.Before(since):
			return young
		default:
			old = id + 1
		}
		return nil
	}, `SELECT id, body FROM leaf WHERE id >= ? AND instr(body, ?) > 0 ORDER BY id LIMIT ?`, first, synchronised, most)
	if err == young {
		err = nil
	}
	return old, err
}

// sessionOf names a session in its records.
type sessionOf struct {
	phone   gateway.PhoneID
	custody gateway.Custody
}

func openSessions(ctx context.Context, q querier) (map[sessionOf]bool, error) {
	rows, err := q.QueryContext(ctx, `SELECT phone, custody FROM session WHERE phase <> 'free'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	open := map[sessionOf]bool{}
	for rows.Next() {
		var s sessionOf
		if err := rows.Scan(&s.phone, &s.custody); err != nil {
			return nil, err
		}
		open[s] = true
	}
	return open, rows.Err()
}

// PrunedBelow is the index below which records of an epoch may have been pruned; zero where none was.
func (l Log) PrunedBelow(ctx context.Context, epoch uint32) (int64, error) {
	if l.old {
		return 0, nil
	}
	var last sql.NullInt64
	row := l.db.QueryRowContext(ctx, `SELECT max(id) FROM pruned WHERE id < ?`, leafID(epoch+1, 0))
	if err := row.Scan(&last); err != nil {
		return 0, fmt.Errorf("read what was pruned: %w", err)
	}
	if !last.Valid || last.Int64 < leafID(epoch, 0) {
		return 0, nil
	}
	return indexOf(last.Int64) + 1, nil
}

// DiskUsed is how much of the disk under the database is taken, from 0 to 1, of what may be taken at all.
func (s *Store) DiskUsed() (float64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.config.Path, &fs); err != nil {
		return 0, fmt.Errorf("ask how full the disk under %s is: %w", s.config.Path, err)
	}
	used := float64(fs.Blocks - fs.Bfree)
	return used / max(1, used+float64(fs.Bavail)), nil
}

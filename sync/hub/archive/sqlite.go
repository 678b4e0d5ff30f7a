package archive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"tapward/sync/hub/database"
)

type sqlite struct {
	db   *database.DB
	turn chan struct{} // holds one token while somebody writes: SQLite's own waiting is not fair
}

// write runs fn in a transaction, alone.
func (s *sqlite) write(ctx context.Context, fn func(*sql.Tx) error) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (s *sqlite) append(ctx context.Context, b Batch) (seq int64, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		if b.from() == 0 {
			if _, err := tx.ExecContext(ctx, insertOrigin, b.originArgs()...); err != nil {
				return err
			}
		}
		origin, m, err := advance(tx.QueryRowContext(ctx, advanceOrigin, b.advanceArgs()...),
			func() row { return tx.QueryRowContext(ctx, selectQuarantined, b.originArgs()...) })
		if err != nil {
			return err
		}
		if err := insertRecords(ctx, tx, b, origin, m); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(seq + records), 1) FROM `+newestBatch).Scan(&seq); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, insertBatch, b.batchArgs(seq, origin, m)...)
		return err
	})
	return seq, err
}

const newestBatch = `(SELECT seq, records FROM batch ORDER BY seq DESC LIMIT 1) AS newest`

func insertRecords(ctx context.Context, tx *sql.Tx, b Batch, origin int64, m month) error {
	var inserts [3]*sql.Stmt
	for i, query := range []string{
		insertInto("leaf", leafColumns), insertInto("body", bodyColumns), insertInto("opening", openingColumns),
	} {
		stmt, err := tx.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		defer stmt.Close()
		inserts[i] = stmt
	}
	leaf, body, opening := inserts[0], inserts[1], inserts[2]
	for i, r := range b.Records {
		if _, err := leaf.ExecContext(ctx, b.leafRow(i, origin, m)...); err != nil {
			return err
		}
		if _, err := body.ExecContext(ctx, b.bodyRow(i, origin, m)...); err != nil {
			return err
		}
		for _, o := range r.Openings {
			if _, err := opening.ExecContext(ctx, openingRow(o, r.Index, origin, m)...); err != nil {
				return err
			}
		}
	}
	return nil
}

func insertInto(table string, columns []string) string {
	return fmt.Sprintf(`INSERT INTO %s (%s) VALUES (?%s)`, table, strings.Join(columns, ", "), strings.Repeat(", ?", len(columns)-1))
}

func (s *sqlite) settled(ctx context.Context) (seq int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT coalesce(max(seq + records - 1), 0) FROM `+newestBatch).Scan(&seq)
	return seq, err
}

func (s *sqlite) prepare(context.Context, month) error { return nil }

// expireRows is how many rows go in one transaction, so that appends wait for a moment only.
const expireRows = 5000

// expire deletes what lies at the beginning of each origin, by the batches of those months.
func (s *sqlite) expire(ctx context.Context, table string, before month) (months int, err error) {
	var oldest sql.NullInt64
	err = s.db.QueryRowContext(ctx, `
SELECT min(m) FROM (SELECT (SELECT month FROM `+table+` WHERE origin = o.id ORDER BY idx LIMIT 1) AS m FROM origin AS o)`).Scan(&oldest)
	if err != nil || !oldest.Valid || month(oldest.Int64) >= before {
		return 0, err
	}
	ends, err := s.ends(ctx, before)
	if err != nil {
		return 0, err
	}
	for origin, end := range ends {
		if err := s.deleteBefore(ctx, table, origin, end); err != nil {
			return 0, err
		}
	}
	err = s.db.QueryRowContext(ctx, `SELECT count(DISTINCT month) FROM batch WHERE month >= $1 AND month < $2`,
		oldest.Int64, int64(before)).Scan(&months)
	return months, err
}

// ends gives, for each origin, the index after the last record archived before a month.
func (s *sqlite) ends(ctx context.Context, before month) (map[int64]int64, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT origin, max(first + records) FROM batch WHERE month < $1 GROUP BY origin`, int64(before))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	ends := map[int64]int64{}
	for rows.Next() {
		var origin, end int64
		if err := rows.Scan(&origin, &end); err != nil {
			return nil, err
		}
		ends[origin] = end
	}
	return ends, rows.Err()
}

func (s *sqlite) deleteBefore(ctx context.Context, table string, origin, end int64) error {
	for gone := int64(1); gone > 0; {
		err := s.write(ctx, func(tx *sql.Tx) error {
			result, err := tx.ExecContext(ctx, `
DELETE FROM `+table+` WHERE origin = $1 AND idx IN (
    SELECT idx FROM `+table+` WHERE origin = $1 AND idx < $2 ORDER BY idx LIMIT $3)`, origin, end, expireRows)
			if err == nil {
				gone, err = result.RowsAffected()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// scrub empties the write-ahead log: in the file itself what is deleted is overwritten at once.
func (s *sqlite) scrub(ctx context.Context) error {
	var busy, pages, moved int
	if err := s.db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved); err != nil {
		return err
	}
	if busy != 0 {
		return errors.New("the write-ahead log is being read and still holds what was deleted; try again")
	}
	return nil
}

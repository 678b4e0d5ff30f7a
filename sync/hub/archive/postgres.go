package archive

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"tapward/gateway/audit"
	"tapward/sync/hub/database"
)

type postgres struct {
	db *database.DB

	mu       sync.Mutex
	prepared map[month]bool // months known to have their partitions
}

// The archive's advisory locks, apart from those in take_places. Any number would do that nobody else uses.
const (
	placesLock    = 7380001
	partitionLock = 7380003 // to make them
	expireLock    = 7380004 // to drop them
)

// native runs fn on a connection of pgx itself, for COPY.
func (p *postgres) native(ctx context.Context, fn func(*pgx.Conn) error) error {
	c, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Raw(func(driver any) error { return fn(driver.(*stdlib.Conn).Conn()) })
}

func (p *postgres) write(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (p *postgres) append(ctx context.Context, b Batch) (seq int64, err error) {
	err = p.native(ctx, func(c *pgx.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			if b.from() == 0 {
				if _, err := tx.Exec(ctx, insertOrigin, b.originArgs()...); err != nil {
					return err
				}
			}
			origin, m, err := advance(tx.QueryRow(ctx, advanceOrigin, b.advanceArgs()...),
				func() row { return tx.QueryRow(ctx, selectQuarantined, b.originArgs()...) })
			if err != nil {
				return err
			}
			if err := copyRecords(ctx, tx, b, origin, m); err != nil {
				return err
			}
			// Last, because nobody reads on in the archive's order between this and the commit.
			if err := tx.QueryRow(ctx, `SELECT take_places($1)`, len(b.Records)).Scan(&seq); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, insertBatch, b.batchArgs(seq, origin, m)...)
			return err
		})
	})
	return seq, err
}

func copyRecords(ctx context.Context, tx pgx.Tx, b Batch, origin int64, m month) error {
	var openings []audit.Opening
	var indexes []int64
	for _, r := range b.Records {
		for _, o := range r.Openings {
			openings, indexes = append(openings, o), append(indexes, r.Index)
		}
	}
	for _, t := range []struct {
		table   string
		columns []string
		rows    int
		row     func(int) []any
	}{
		{"leaf", leafColumns, len(b.Records), func(i int) []any { return b.leafRow(i, origin, m) }},
		{"body", bodyColumns, len(b.Records), func(i int) []any { return b.bodyRow(i, origin, m) }},
		{"opening", openingColumns, len(openings), func(i int) []any { return openingRow(openings[i], indexes[i], origin, m) }},
	} {
		rows := pgx.CopyFromSlice(t.rows, func(i int) ([]any, error) { return t.row(i), nil })
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.table}, t.columns, rows); err != nil {
			return err
		}
	}
	return nil
}

// settled waits, for as long as commits under way take, until no place is still to be filled.
func (p *postgres) settled(ctx context.Context) (seq int64, err error) {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, placesLock); err != nil {
		return 0, err
	}
	// A statement of its own: it sees what was committed while the lock was waited for.
	err = tx.QueryRowContext(ctx, `
SELECT coalesce(max(seq + records - 1), 0) FROM (SELECT seq, records FROM batch ORDER BY seq DESC LIMIT 1) AS newest`).Scan(&seq)
	return seq, err
}

// prepare makes the partitions of a month, by attaching tables of their own: unlike CREATE … PARTITION OF that waits for
// nobody who reads, a nightly dump for example, with all appends behind it.
func (p *postgres) prepare(ctx context.Context, m month) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.prepared[m] {
		return nil
	}
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, partitionLock); err != nil {
		return err
	}
	for _, table := range []string{"body", "opening"} {
		if err := attach(ctx, tx, table, m); err != nil {
			return fmt.Errorf("make partition %s: %w", partition(table, m), err)
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	p.prepared[m] = true
	return nil
}

func partition(table string, m month) string { return fmt.Sprintf("%s_%d", table, m) }

func attach(ctx context.Context, tx *sql.Tx, table string, m month) error {
	name := partition(table, m)
	var there bool
	if err := tx.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&there); err != nil || there {
		return err
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`
CREATE TABLE %[1]s (LIKE %[2]s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES);
ALTER TABLE %[1]s ADD CONSTRAINT %[1]s_month CHECK (month = %[3]d);
ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES IN (%[3]d)`, name, table, m))
	return err
}

package archive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// leftover is a month's table, and whether it still is a partition.
type leftover struct {
	name              string
	attached, pending bool
}

// expire drops whole partitions. A partition is detached first, which waits for nobody who appends; where an earlier run
// was cut off in between, this one goes on.
func (p *postgres) expire(ctx context.Context, table string, before month) (months int, err error) {
	p.mu.Lock()
	maps.DeleteFunc(p.prepared, func(m month, _ bool) bool { return m < before })
	p.mu.Unlock()
	err = p.native(ctx, func(c *pgx.Conn) (err error) {
		// A lock of the session, because DETACH … CONCURRENTLY runs in no transaction.
		if _, err := c.Exec(ctx, `SELECT pg_advisory_lock($1)`, expireLock); err != nil {
			return err
		}
		defer func() {
			_, unlock := c.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, expireLock)
			err = errors.Join(err, unlock)
		}()
		old, err := leftovers(ctx, c, table, before)
		if err != nil {
			return err
		}
		for _, l := range old {
			var held bool // a month may have passed without anything
			err := c.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+l.name+`)`).Scan(&held)
			if err == nil {
				err = l.drop(ctx, c, table)
			}
			if err != nil {
				return fmt.Errorf("drop partition %s: %w", l.name, err)
			}
			if held {
				months++
			}
		}
		return nil
	})
	return months, err
}

func leftovers(ctx context.Context, c *pgx.Conn, table string, before month) ([]leftover, error) {
	rows, err := c.Query(ctx, `
SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false)
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = $1::regclass)
    AND c.relname ~ $2 ORDER BY c.relname`, table, "^"+table+"_[0-9]{6}$")
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (l leftover, err error) {
		err = r.Scan(&l.name, &l.attached, &l.pending)
		return l, err
	})
	if err != nil {
		return nil, err
	}
	var old []leftover
	for _, l := range all {
		m, err := strconv.ParseInt(strings.TrimPrefix(l.name, table+"_"), 10, 64)
		if err == nil && month(m) < before {
			old = append(old, l)
		}
	}
	return old, nil
}

func (l leftover) drop(ctx context.Context, c *pgx.Conn, table string) error {
	if l.attached {
		how := "CONCURRENTLY"
		if l.pending {
			how = "FINALIZE"
		}
		if _, err := c.Exec(ctx, fmt.Sprintf(`ALTER TABLE %s DETACH PARTITION %s %s`, table, l.name, how)); err != nil {
			return err
		}
	}
	_, err := c.Exec(ctx, `DROP TABLE `+l.name)
	return err
}

// scrub lets PostgreSQL reuse the room of what was deleted. What its write-ahead log and backups still hold goes with
// their own retention.
func (p *postgres) scrub(ctx context.Context) error {
	_, err := p.db.ExecContext(ctx, `VACUUM opening, incident`)
	return err
}

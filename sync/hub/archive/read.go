package archive

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"tapward/gateway/audit"
)

// Leaves reads at most limit records of an origin from an index on, in order, with their hashes and the openings that
// were not erased, all as of one moment. A record that the retention took has its hashes, and a nil Leaf.
func (a *Archive) Leaves(ctx context.Context, o Origin, from int64, limit int) ([]audit.Stored, error) {
	tx, err := a.db.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", o, err)
	}
	defer tx.Rollback()
	id, _, err := a.standing(ctx, tx, o)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", o, err)
	}
	records, months, err := readLeaves(ctx, tx, id, from, limit)
	if err == nil && len(records) > 0 {
		err = fill(ctx, tx, id, months, records)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", o, err)
	}
	return records, nil
}

// recordsAtOnce is how many Records reads at a time.
const recordsAtOnce = 1000

// Records reads an origin from an index to its end, batch by batch, for a verification. It holds no cursor.
func (a *Archive) Records(ctx context.Context, o Origin, from int64) iter.Seq2[audit.Stored, error] {
	return func(yield func(audit.Stored, error) bool) {
		for {
			batch, err := a.Leaves(ctx, o, from, recordsAtOnce)
			if err != nil {
				yield(audit.Stored{}, err)
				return
			}
			for _, r := range batch {
				if !yield(r, nil) {
					return
				}
			}
			if len(batch) == 0 {
				return
			}
			from = batch[len(batch)-1].Index + 1
		}
	}
}

// Kept is the index of the first record of an origin that the retention has left; the archived size where it took all.
func (a *Archive) Kept(ctx context.Context, o Origin) (index int64, err error) {
	err = a.db.QueryRowContext(ctx, `
SELECT coalesce((SELECT min(idx) FROM body WHERE origin = o.id), o.size) FROM origin o
WHERE o.site = $1 AND o.box = $2 AND o.epoch = $3`, o.Site, string(o.Box), int64(o.Epoch)).Scan(&index)
	if err == sql.ErrNoRows {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask what is kept of %s: %w", o, err)
	}
	return index, nil
}

// span is the months in which a run of records lies. An origin's months never go back.
type span struct{ first, last month }

// readLeaves reads what stays for ever.
func readLeaves(ctx context.Context, q querier, origin, from int64, limit int) (records []audit.Stored, months span, err error) {
	rows, err := q.QueryContext(ctx, `
SELECT idx, month, hashes FROM leaf WHERE origin = $1 AND idx >= $2 ORDER BY idx LIMIT $3`, origin, from, limit)
	if err != nil {
		return nil, span{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var r audit.Stored
		var hashes sql.RawBytes
		if err := rows.Scan(&r.Index, &months.last, &hashes); err != nil {
			return nil, span{}, err
		}
		if len(records) == 0 {
			months.first = months.last
		}
		r.Hashes = split(hashes)
		records = append(records, r)
	}
	return records, months, rows.Err()
}

// fill puts bodies and openings into the records they belong to. The months come as parameters, so that PostgreSQL looks
// into their partitions only.
func fill(ctx context.Context, q querier, origin int64, months span, records []audit.Stored) error {
	at := make(map[int64]int, len(records))
	for i, r := range records {
		at[r.Index] = i
	}
	args := []any{origin, int64(months.first), int64(months.last), records[0].Index, records[len(records)-1].Index}
	const which = ` WHERE origin = $1 AND month BETWEEN $2 AND $3 AND idx BETWEEN $4 AND $5`
	err := each(ctx, q, `SELECT idx, body FROM body`+which, args, func(rows *sql.Rows) error {
		var index int64
		var body []byte
		if err := rows.Scan(&index, &body); err != nil {
			return err
		}
		if i, ok := at[index]; ok {
			records[i].Leaf = body
		}
		return nil
	})
	if err != nil {
		return err
	}
	return each(ctx, q, `SELECT idx, field, salt, value FROM opening`+which+` ORDER BY idx, field`, args, func(rows *sql.Rows) error {
		var index, field int64
		var o audit.Opening
		var salt sql.RawBytes
		if err := rows.Scan(&index, &field, &salt, &o.Value); err != nil {
			return err
		}
		o.Field = fieldOf(field)
		copy(o.Salt[:], salt)
		if i, ok := at[index]; ok {
			records[i].Openings = append(records[i].Openings, o)
		}
		return nil
	})
}

func each(ctx context.Context, q querier, query string, args []any, fn func(*sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

package archive

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// querier is a database or a transaction in it.
type querier interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// originID is the number of an origin, as a part of queries whose first parameters it is.
const originID = `(SELECT id FROM origin WHERE site = $1 AND box = $2 AND epoch = $3)`

// Hashes reads an origin's stored hashes for tlog's proofs. Every hash of the archived size is there, for ever.
func (a *Archive) Hashes(ctx context.Context, o Origin) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for done := 0; done < len(indexes); done += readAtOnce {
			end := min(done+readAtOnce, len(indexes))
			if err := readHashes(ctx, a.db, o, indexes[done:end], hashes[done:end]); err != nil {
				return nil, fmt.Errorf("read tree hashes of %s: %w", o, err)
			}
		}
		return hashes, nil
	})
}

// readAtOnce is how many hashes one query asks for.
const readAtOnce = 200

func readHashes(ctx context.Context, q querier, o Origin, indexes []int64, into []tlog.Hash) error {
	if len(indexes) == 0 {
		return nil
	}
	// The hash of a subtree lies with the leaf that completes it.
	args := []any{o.Site, string(o.Box), int64(o.Epoch)}
	for _, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		args = append(args, (n+1)<<level-1)
	}
	rows, err := q.QueryContext(ctx, `SELECT idx, hashes FROM leaf WHERE origin = `+originID+` AND idx IN (`+
		parameters(4, len(indexes))+`)`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	found := make(map[int64][]tlog.Hash, len(indexes))
	for rows.Next() {
		var index int64
		var joined sql.RawBytes
		if err := rows.Scan(&index, &joined); err != nil {
			return err
		}
		found[index] = split(joined)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		leaf := (n+1)<<level - 1
		if len(found[leaf]) <= level {
			return fmt.Errorf("that at level %d of record %d is not there", level, leaf)
		}
		into[i] = found[leaf][level]
	}
	return nil
}

// parameters are $from, $from+1, … .
func parameters(from, count int) string {
	all := make([]string, count)
	for i := range all {
		all[i] = fmt.Sprintf("$%d", from+i)
	}
	return strings.Join(all, ", ")
}

// LeafHashes reads the hashes of at most limit records from an index on, in order, to compare with records that come a
// second time.
func (a *Archive) LeafHashes(ctx context.Context, o Origin, from int64, limit int) ([]tlog.Hash, error) {
	hashes, err := leafHashes(ctx, a.db, o, from, limit)
	if err != nil {
		return nil, fmt.Errorf("read hashes of %s: %w", o, err)
	}
	return hashes, nil
}

func leafHashes(ctx context.Context, q querier, o Origin, from int64, limit int) (hashes []tlog.Hash, err error) {
	rows, err := q.QueryContext(ctx, `
SELECT idx, substr(hashes, 1, 32) FROM leaf WHERE origin = `+originID+` AND idx >= $4 ORDER BY idx LIMIT $5`,
		o.Site, string(o.Box), int64(o.Epoch), from, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var index int64
		var hash sql.RawBytes
		if err := rows.Scan(&index, &hash); err != nil {
			return nil, err
		}
		if want := from + int64(len(hashes)); index != want || len(hash) != tlog.HashSize {
			return nil, fmt.Errorf("record %d is missing from the archive", want)
		}
		hashes = append(hashes, tlog.Hash(hash))
	}
	return hashes, rows.Err()
}

package store

import (
	"context"
	"encoding/json"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Hashes reads one epoch's stored hashes for tlog's proofs, all that one proof asks for in one query.
func (l Log) Hashes(ctx context.Context, epoch uint32) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		rows, err := l.hashes(ctx, epoch, indexes)
		if err != nil {
			return nil, fmt.Errorf("read tree hashes of epoch %d: %w", epoch, err)
		}
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			level, leaf := completer(index)
			row := rows[leafID(epoch, leaf)]
			if level >= len(row) {
				return nil, fmt.Errorf("read tree hash at level %d of record %d of epoch %d: it is not there", level, leaf, epoch)
			}
			hashes[i] = row[level]
		}
		return hashes, nil
	})
}

// completer is the record with which a stored hash lies: that of a subtree lies with the leaf that completes it.
func completer(index int64) (level int, leaf int64) {
	level, n := tlog.SplitStoredHashIndex(index)
	return level, (n+1)<<level - 1
}

// hashes reads the rows, pruned ones too, in which hashes stand.
func (l Log) hashes(ctx context.Context, epoch uint32, indexes []int64) (map[int64][]tlog.Hash, error) {
	ids := make([]int64, len(indexes))
	for i, index := range indexes {
		_, leaf := completer(index)
		ids[i] = leafID(epoch, leaf)
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	query := `SELECT id, hashes FROM leaf WHERE id IN (SELECT value FROM json_each(?1))`
	if !l.old {
		query += ` UNION ALL SELECT id, hashes FROM pruned WHERE id IN (SELECT value FROM json_each(?1))`
	}
	rows, err := l.db.QueryContext(ctx, query, string(list))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[int64][]tlog.Hash, len(ids))
	for rows.Next() {
		var id int64
		var hashes []byte
		if err := rows.Scan(&id, &hashes); err != nil {
			return nil, err
		}
		found[id] = split(hashes)
	}
	return found, rows.Err()
}

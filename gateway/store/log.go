package store

import (
	"context"
	"database/sql"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// Log reads the audit log. Every method reads a batch and lets go of its cursor before it returns: an open cursor would
// keep the WAL from being reused.
type Log struct {
	db  *sql.DB
	old bool // a copy from before records were pruned: it has no tables for that
}

// Epoch is one tree of the log.
type Epoch struct {
	Number uint32
	Size   int64
	Why    gateway.Reason // it was opened; empty for a log's first epoch
	Prior  string         // the checkpoint it replaces
}

// indexBits is how a row id packs epoch and index; the schema's generated columns undo it.
const (
	indexBits = 40
	maxEpoch  = 1<<(63-indexBits) - 1
)

func leafID(epoch uint32, index int64) int64 { return int64(epoch)<<indexBits | index }

func indexOf(id int64) int64 { return id & (1<<indexBits - 1) }

// Epochs lists the log's epochs, oldest first. A log without records has none.
func (l Log) Epochs(ctx context.Context) ([]Epoch, error) {
	epochs, err := l.spans(ctx)
	if err != nil {
		return nil, fmt.Errorf("read epochs: %w", err)
	}
	for i := range epochs {
		e := &epochs[i]
		first, err := l.Leaves(ctx, e.Number, 0, 1)
		if err != nil {
			return nil, fmt.Errorf("read epochs: %w", err)
		}
		leaf, err := audit.Decode(first[0].Leaf)
		if err != nil {
			return nil, fmt.Errorf("read the first record of epoch %d: %w; verify the log", e.Number, err)
		}
		if r := leaf.Entry.Record; r.Kind == audit.EpochOpened && len(r.Reasons) > 0 {
			e.Why, e.Prior = r.Reasons[0], leaf.Entry.Prior
		}
	}
	return epochs, nil
}

// spans finds the epochs and their sizes by their first and last rows.
func (l Log) spans(ctx context.Context) ([]Epoch, error) {
	var epochs []Epoch
	for from := int64(0); ; {
		var first, last sql.NullInt64
		row := l.db.QueryRowContext(ctx, `SELECT min(id) FROM leaf WHERE id >= ?`, from)
		if err := row.Scan(&first); err != nil || !first.Valid {
			return epochs, err
		}
		number := uint32(first.Int64 >> indexBits)
		from = leafID(number+1, 0)
		row = l.db.QueryRowContext(ctx, `SELECT max(id) FROM leaf WHERE id < ?`, from)
		if err := row.Scan(&last); err != nil {
			return nil, err
		}
		epochs = append(epochs, Epoch{Number: number, Size: indexOf(last.Int64) + 1})
	}
}

// Leaves reads at most limit records of an epoch from an index on, in order, with their hashes and the openings that were
// not erased. Pruned records are left out.
func (l Log) Leaves(ctx context.Context, epoch uint32, from int64, limit int) ([]audit.Stored, error) {
	first, end := leafID(epoch, from), leafID(epoch+1, 0)
	records, _, err := l.read(ctx, `SELECT id, body, hashes FROM leaf WHERE id >= ? AND id < ? ORDER BY id LIMIT ?`, first, end, limit)
	return records, err
}

// whole reads as Leaves does, with what is left of pruned records.
func (l Log) whole(ctx context.Context, epoch uint32, from int64, limit int) ([]audit.Stored, error) {
	if l.old {
		return l.Leaves(ctx, epoch, from, limit)
	}
	first, end := leafID(epoch, from), leafID(epoch+1, 0)
	records, _, err := l.read(ctx, `
SELECT id, body, hashes FROM leaf WHERE id >= ?1 AND id < ?2 UNION ALL
SELECT id, NULL, hashes FROM pruned WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3`, first, end, limit)
	return records, err
}

// before reads the batch of records before a row, newest first, over all epochs.
func (l Log) before(ctx context.Context, row int64, limit int) ([]audit.Stored, []int64, error) {
	return l.read(ctx, `SELECT id, body, hashes FROM leaf WHERE id < ? ORDER BY id DESC LIMIT ?`, row, limit)
}

// read runs a query for leaves and adds their openings, all in one snapshot.
func (l Log) read(ctx context.Context, query string, args ...any) ([]audit.Stored, []int64, error) {
	tx, err := l.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, nil, fmt.Errorf("read log: %w", err)
	}
	defer tx.Rollback()
	records, ids, err := readLeaves(ctx, tx, query, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("read log: %w", err)
	}
	if err := addOpenings(ctx, tx, records, ids); err != nil {
		return nil, nil, fmt.Errorf("read openings: %w", err)
	}
	return records, ids, nil
}

func readLeaves(ctx context.Context, q querier, query string, args ...any) (records []audit.Stored, ids []int64, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var r audit.Stored
		var hashes sql.RawBytes
		if err := rows.Scan(&id, &r.Leaf, &hashes); err != nil {
			return nil, nil, err
		}
		r.Index, r.Hashes = indexOf(id), split(hashes)
		records, ids = append(records, r), append(ids, id)
	}
	return records, ids, rows.Err()
}

// split cuts a row's hashes apart. A length that is no multiple of a hash gives one zero hash more, which no tree has.
func split(b []byte) []tlog.Hash {
	hashes := make([]tlog.Hash, (len(b)+tlog.HashSize-1)/tlog.HashSize)
	if len(b)%tlog.HashSize != 0 {
		b = b[:len(b)-len(b)%tlog.HashSize]
	}
	for i := 0; len(b) > 0; i++ {
		b = b[copy(hashes[i][:], b):]
	}
	return hashes
}

// addOpenings puts the openings beside the records they belong to.
func addOpenings(ctx context.Context, q querier, records []audit.Stored, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	at := make(map[int64]int, len(ids))
	low, high := ids[0], ids[0]
	for i, id := range ids {
		at[id] = i
		low, high = min(low, id), max(high, id)
	}
	rows, err := q.QueryContext(ctx, `
SELECT leaf, field, salt, value FROM opening WHERE leaf BETWEEN ? AND ? ORDER BY leaf, field`, low, high)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var o audit.Opening
		var salt sql.RawBytes
		if err := rows.Scan(&id, &o.Field, &salt, &o.Value); err != nil {
			return err
		}
		copy(o.Salt[:], salt)
		if i, ok := at[id]; ok {
			records[i].Openings = append(records[i].Openings, o)
		}
	}
	return rows.Err()
}

package witness

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/uplink"
)

const entriesAtOnce = 1000

// head is where the log stands.
type head struct {
	size, seq  int64
	checkpoint string // cosigned
	cosigned   int64  // its size
}

// grow takes all that the archive accepted since into the log.
func (l *Log) grow(ctx context.Context) error {
	_, err := l.Database.ExecContext(ctx, `
INSERT INTO hublog (name, size, seq, checkpoint, cosigned) VALUES ($1, 0, 0, '', 0) ON CONFLICT DO NOTHING`, l.name)
	if err != nil {
		return fmt.Errorf("begin the log: %w", err)
	}
	for {
		h, err := l.head(ctx)
		if err != nil {
			return err
		}
		accepted, err := l.Archive.Checkpoints(ctx, h.seq, entriesAtOnce)
		if err != nil || len(accepted) == 0 {
			return err
		}
		if err := l.append(ctx, h, accepted); err != nil {
			return fmt.Errorf("append to the log: %w", err)
		}
	}
}

func (l *Log) head(ctx context.Context) (h head, err error) {
	err = l.Database.QueryRowContext(ctx, `SELECT size, seq, checkpoint, cosigned FROM hublog WHERE name = $1`, l.name).
		Scan(&h.size, &h.seq, &h.checkpoint, &h.cosigned)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return h, fmt.Errorf("read where the log stands: %w", err)
	}
	return h, nil
}

// append writes entries in one transaction. Where another hub was faster it does nothing.
func (l *Log) append(ctx context.Context, h head, accepted []archive.Accepted) error {
	type row struct {
		entry  []byte
		head   audit.Head
		hashes []byte
	}
	written := map[int64]tlog.Hash{} // by this append
	hashes := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) { return l.hashesWith(ctx, written, indexes) })
	rows := make([]row, len(accepted))
	for i, a := range accepted {
		_, boxHead, err := audit.PeekCheckpoint(a.Checkpoint)
		if err != nil {
			return err
		}
		entry := uplink.Accepted{Site: a.Origin.Site, Checkpoint: a.Checkpoint}.Encode()
		index := h.size + int64(i)
		stored, err := tlog.StoredHashes(index, entry, hashes)
		if err != nil {
			return err
		}
		for n, hash := range stored {
			written[tlog.StoredHashIndex(0, index)+int64(n)] = hash
		}
		rows[i] = row{entry, boxHead, join(stored)}
	}
	tx, err := l.Database.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	result, err := tx.ExecContext(ctx, `UPDATE hublog SET size = $1, seq = $2 WHERE name = $3 AND size = $4 AND seq = $5`,
		h.size+int64(len(rows)), accepted[len(accepted)-1].Seq, l.name, h.size, h.seq)
	if err != nil {
		return err
	}
	if moved, err := result.RowsAffected(); err != nil || moved == 0 {
		return err
	}
	for i, r := range rows {
		o := accepted[i].Origin
		_, err := tx.ExecContext(ctx, `
INSERT INTO hublog_entry (name, idx, site, box, epoch, size, entry, hashes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			l.name, h.size+int64(i), o.Site, string(o.Box), int64(o.Epoch), r.head.Size, r.entry, r.hashes)
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// hashes reads stored hashes for tlog.
func (l *Log) hashes(ctx context.Context) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) { return l.hashesWith(ctx, nil, indexes) })
}

// hashesWith looks first at some that are not written yet.
func (l *Log) hashesWith(ctx context.Context, written map[int64]tlog.Hash, indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if h, ok := written[index]; ok {
			out[i] = h
			continue
		}
		// The hash of a subtree lies with the entry that completes it.
		level, n := tlog.SplitStoredHashIndex(index)
		var joined []byte
		err := l.Database.QueryRowContext(ctx, `SELECT hashes FROM hublog_entry WHERE name = $1 AND idx = $2`,
			l.name, (n+1)<<level-1).Scan(&joined)
		if err == nil && len(joined) < (level+1)*tlog.HashSize {
			err = errors.New("it is not there")
		}
		if err != nil {
			return nil, fmt.Errorf("read hash %d of the log: %w", index, err)
		}
		out[i] = tlog.Hash(joined[level*tlog.HashSize:])
	}
	return out, nil
}

func join(hashes []tlog.Hash) []byte {
	var joined []byte
	for _, h := range hashes {
		joined = append(joined, h[:]...)
	}
	return joined
}

// Newest is the log's newest cosigned checkpoint, with its cosignatures; empty: there is none yet.
func (l *Log) Newest(ctx context.Context) (checkpoint string, size int64, err error) {
	h, err := l.head(ctx)
	return h.checkpoint, h.cosigned, err
}

// ErrNotWitnessed says that no witness has yet seen what was asked for.
var ErrNotWitnessed = errors.New("no witness has seen it yet")

// Prove gives the proof of the first checkpoint of a box's log that covers at least so many records and that witnesses
// have seen; size zero: of the newest.
func (l *Log) Prove(ctx context.Context, o archive.Origin, size int64) (uplink.Witnessed, error) {
	h, err := l.head(ctx)
	if err != nil {
		return uplink.Witnessed{}, err
	}
	order := "size"
	if size == 0 {
		order = "size DESC"
	}
	var w uplink.Witnessed
	var entry []byte
	err = l.Database.QueryRowContext(ctx, `
SELECT idx, entry FROM hublog_entry WHERE name = $1 AND site = $2 AND box = $3 AND epoch = $4 AND size >= $5 AND idx < $6
ORDER BY `+order+` LIMIT 1`, l.name, o.Site, string(o.Box), int64(o.Epoch), size, h.cosigned).Scan(&w.Index, &entry)
	if errors.Is(err, sql.ErrNoRows) {
		return w, fmt.Errorf("prove record %d of %s: %w", size, o, ErrNotWitnessed)
	}
	if err == nil {
		w.Accepted, err = uplink.ParseAccepted(entry)
	}
	if err == nil {
		w.Proof, err = tlog.ProveRecord(h.cosigned, w.Index, l.hashes(ctx))
	}
	if err != nil {
		return w, fmt.Errorf("prove record %d of %s: %w", size, o, err)
	}
	w.Signed = h.checkpoint
	return w, nil
}

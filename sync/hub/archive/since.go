package archive

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"tapward/gateway/audit"
)

// Archived is one record in the order of the archive.
type Archived struct {
	Seq       int64 // its place; rises with every record of every box, and stays
	Origin    Origin
	Leaf      audit.Leaf    // with what names people in place, as far as it was not erased
	Forgotten []audit.Field // that was erased
	At        time.Time     // when it was archived
}

// placed is one row of the table batch, with its origin.
type placed struct {
	origin         Origin
	id             int64
	seq            int64
	first, records int64
	month          month
	archived       int64
	checkpoint     string
}

const selectBatches = `
SELECT b.seq, b.origin, o.site, o.box, o.epoch, b.first, b.records, b.month, b.archived, b.checkpoint
FROM batch b JOIN origin o ON o.id = b.origin`

func scanPlaced(r row) (p placed, err error) {
	err = r.Scan(&p.seq, &p.id, &p.origin.Site, &p.origin.Box, &p.origin.Epoch,
		&p.first, &p.records, &p.month, &p.archived, &p.checkpoint)
	return p, err
}

// Since reads at most limit records behind a place, in the order in which they were archived over all boxes; 0 is before
// the first. Whoever goes on from the last one's Seq meets every record once. What the retention took is passed over. An
// empty answer says that there is no more.
func (a *Archive) Since(ctx context.Context, after int64, limit int) ([]Archived, error) {
	settled, err := a.engine.settled(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the archive from place %d: %w", after, err)
	}
	for after < settled {
		found, last, err := a.page(ctx, after, settled, limit)
		if err != nil {
			return nil, fmt.Errorf("read the archive from place %d: %w", after, err)
		}
		if len(found) > 0 || last == after {
			return found, nil
		}
		after = last
	}
	return nil, nil
}

// Settled is the place of the newest record that Since gives: with a cursor beside it, it says how far that lags.
func (a *Archive) Settled(ctx context.Context) (int64, error) {
	settled, err := a.engine.settled(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask for the archive's newest place: %w", err)
	}
	return settled, nil
}

// page reads the records at the next limit places, and says which place it has come to.
func (a *Archive) page(ctx context.Context, after, settled int64, limit int) (found []Archived, last int64, err error) {
	tx, err := a.db.Snapshot(ctx)
	if err != nil {
		return nil, after, err
	}
	defer tx.Rollback()
	batches, err := batchesBehind(ctx, tx, after, settled, limit)
	if err != nil {
		return nil, after, err
	}
	bodies, err := readRuns(ctx, tx, batches)
	if err != nil {
		return nil, after, err
	}
	last = after
	for _, p := range batches {
		last = p.seq + p.records - 1
		for i, r := range bodies[p.id].part(p.first, p.records) {
			if r.Leaf == nil {
				continue
			}
			one, err := p.archivedRecord(p.seq+int64(i), r)
			if err != nil {
				return nil, after, err
			}
			found = append(found, one)
		}
	}
	return found, last, nil
}

// run is what batches of one origin hold together; those that follow one another in the archive do so in the log.
type run struct {
	months  span
	records []audit.Stored
}

func (r *run) part(first, count int64) []audit.Stored {
	from := first - r.records[0].Index
	return r.records[from : from+count]
}

// readRuns reads each origin's records at once, however small its batches are.
func readRuns(ctx context.Context, q querier, batches []placed) (map[int64]*run, error) {
	runs := map[int64]*run{}
	for _, p := range batches {
		r := runs[p.id]
		if r == nil {
			r = &run{months: span{first: p.month}}
			runs[p.id] = r
		}
		r.months.last = p.month
		for i := range p.records {
			r.records = append(r.records, audit.Stored{Sealed: audit.Sealed{Index: p.first + i}})
		}
	}
	for id, r := range runs {
		if err := fill(ctx, q, id, r.months, r.records); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

func (p placed) archivedRecord(seq int64, r audit.Stored) (Archived, error) {
	leaf, err := audit.Decode(r.Leaf)
	if err != nil {
		return Archived{}, fmt.Errorf("record %d of %s: %w", r.Index, p.origin, err)
	}
	leaf, forgotten, err := leaf.Reveal(r.Openings)
	if err != nil {
		return Archived{}, fmt.Errorf("record %d of %s: %w", r.Index, p.origin, err)
	}
	return Archived{seq, p.origin, leaf, forgotten, time.Unix(0, p.archived)}, nil
}

// batchesBehind gives the batches of the next limit places, the first and the last cut to what lies among them.
func batchesBehind(ctx context.Context, q querier, after, settled int64, limit int) (batches []placed, err error) {
	left := int64(limit)
	err = each(ctx, q, selectBatches+`
WHERE b.seq >= coalesce((SELECT max(seq) FROM batch WHERE seq <= $1), 0) AND b.seq <= $2 ORDER BY b.seq LIMIT $3`,
		[]any{after, settled, limit + 1}, func(rows *sql.Rows) error {
			p, err := scanPlaced(rows)
			if err != nil {
				return err
			}
			if cut := after + 1 - p.seq; cut > 0 {
				p.seq, p.first, p.records = p.seq+cut, p.first+cut, p.records-cut
			}
			p.records = min(p.records, left)
			if p.records > 0 {
				left -= p.records
				batches = append(batches, p)
			}
			return nil
		})
	return batches, err
}

// Accepted is one checkpoint of a box that the archive has fulfilled.
type Accepted struct {
	Seq        int64 // place of the last record it added
	Origin     Origin
	Checkpoint string // with the box's signature
	At         time.Time
}

// Checkpoints reads at most limit accepted checkpoints behind a place, in the order in which they came true: what the
// hub's own log is made of. 0 is before the first.
func (a *Archive) Checkpoints(ctx context.Context, after int64, limit int) (accepted []Accepted, err error) {
	settled, err := a.engine.settled(ctx)
	if err == nil {
		err = each(ctx, a.db, selectBatches+`
WHERE b.seq + b.records - 1 > $1 AND b.seq >= coalesce((SELECT max(seq) FROM batch WHERE seq <= $1), 0) AND b.seq <= $2
ORDER BY b.seq LIMIT $3`, []any{after, settled, limit}, func(rows *sql.Rows) error {
			p, err := scanPlaced(rows)
			accepted = append(accepted, Accepted{p.seq + p.records - 1, p.origin, p.checkpoint, time.Unix(0, p.archived)})
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read accepted checkpoints from place %d: %w", after, err)
	}
	return accepted, nil
}

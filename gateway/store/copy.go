package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// Copy is a database opened to be read and verified: a copy of one, or a box's own beside its running daemon. It takes no
// lock, migrates nothing and writes nothing to the database.
type Copy struct {
	Log
	Box gateway.BoxID
}

// OpenCopy opens a database read-only. A copy is of the database with its -wal file, where there is one; alone it lacks
// the newest commits, which a checkpoint shows.
func OpenCopy(ctx context.Context, path string) (*Copy, error) {
	db, box, schema, err := examine(ctx, path, still)
	if err != nil {
		return nil, fmt.Errorf("open copy: %w", err)
	}
	return &Copy{Log: Log{db: db, old: schema < pruneSchema}, Box: box}, nil
}

// Close lets go of the file.
func (c *Copy) Close() error { return c.db.Close() }

// VerifyAll re-checks every record, hash and opening of every epoch, against the heads of checkpoints whose signature
// was checked. The report names the first bad record. An error means that the file could not be read to its end.
func (c *Copy) VerifyAll(ctx context.Context, trusted ...audit.Head) (audit.Report, error) {
	return c.Verify(ctx, audit.NewVerifier(trusted...))
}

// Verify is VerifyAll by a verifier that was told who has what was pruned.
func (c *Copy) Verify(ctx context.Context, v *audit.Verifier) (audit.Report, error) {
	epochs, err := c.spans(ctx)
	if err != nil {
		return audit.Report{}, fmt.Errorf("verify: %w", err)
	}
	for _, e := range epochs {
		ok, err := v.Epoch(e.Number, c.records(ctx, e.Number))
		if err != nil {
			return v.Report(), fmt.Errorf("verify: %w", err)
		}
		if !ok {
			return v.Report(), nil
		}
	}
	report := v.Finish()
	if report.Bad == nil {
		if report.Bad, err = c.strays(ctx); err != nil {
			return report, fmt.Errorf("verify: %w", err)
		}
	}
	return report, nil
}

// verifyBatch is how many records are read at a time.
const verifyBatch = 1000

// records reads an epoch to its end, batch by batch.
func (c *Copy) records(ctx context.Context, epoch uint32) iter.Seq2[audit.Stored, error] {
	return func(yield func(audit.Stored, error) bool) {
		for from := int64(0); ; {
			batch, err := c.whole(ctx, epoch, from, verifyBatch)
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

// strays finds openings without a record, which a walk along the records does not meet.
func (c *Copy) strays(ctx context.Context) (*audit.Bad, error) {
	var id int64
	err := c.db.QueryRowContext(ctx, `SELECT leaf FROM opening WHERE leaf NOT IN (SELECT id FROM leaf) LIMIT 1`).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &audit.Bad{Epoch: uint32(id >> indexBits), Index: indexOf(id), What: "there is an opening and no record"}, nil
}

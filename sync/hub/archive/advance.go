package archive

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// How an origin moves, in both engines: only from where the batch begins, and not in quarantine. An origin's months never
// go back, so that what a retention takes of it is always its beginning.
const (
	insertOrigin = `
INSERT INTO origin (site, box, epoch, size, month, archived, checkpoint, stored) VALUES ($1, $2, $3, 0, 0, 0, '', '')
ON CONFLICT DO NOTHING`

	quarantined = `
EXISTS (SELECT 1 FROM incident i WHERE i.site = $1 AND i.box = $2 AND i.epoch = $3 AND i.lifted IS NULL AND i.quarantines = 1)`

	advanceOrigin = `
UPDATE origin SET size = $5, month = CASE WHEN month > $6 THEN month ELSE $6 END, archived = $7, checkpoint = $8, stored = $9
WHERE site = $1 AND box = $2 AND epoch = $3 AND size = $4 AND NOT` + quarantined + `
RETURNING id, month`

	selectQuarantined = `SELECT` + quarantined

	insertBatch = `
INSERT INTO batch (seq, origin, first, records, month, archived, checkpoint) VALUES ($1, $2, $3, $4, $5, $6, $7)`
)

func (b Batch) originArgs() []any {
	return []any{b.Origin.Site, string(b.Origin.Box), int64(b.Origin.Epoch)}
}

func (b Batch) advanceArgs() []any {
	return append(b.originArgs(), b.from(), b.end(), int64(monthOf(b.At)), b.At.UnixNano(), b.Checkpoint, b.Stored)
}

func (b Batch) batchArgs(seq, origin int64, m month) []any {
	return []any{seq, origin, b.from(), int64(len(b.Records)), int64(m), b.At.UnixNano(), b.Checkpoint}
}

// row is what a query gave, in either library.
type row interface{ Scan(...any) error }

// advance reads the answer of advanceOrigin; where it moved nothing, why asks for the reason.
func advance(moved row, why func() row) (origin int64, m month, err error) {
	err = moved.Scan(&origin, &m)
	if !errors.Is(err, sql.ErrNoRows) && !errors.Is(err, pgx.ErrNoRows) {
		return origin, m, err
	}
	var refused bool
	if err := why().Scan(&refused); err != nil {
		return 0, 0, fmt.Errorf("ask for a quarantine: %w", err)
	}
	if refused {
		return 0, 0, ErrQuarantined
	}
	return 0, 0, ErrMoved
}

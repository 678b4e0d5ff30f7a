package archive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tapward/gateway/audit"
	"tapward/sync/hub/database"
	"tapward/sync/uplink"
)

// Origin is one epoch of one box's log.
type Origin struct {
	uplink.Address
	Epoch uint32
}

func (o Origin) String() string { return fmt.Sprintf("%s, epoch %d", o.Address, o.Epoch) }

// Batch is what is archived together: records of one origin that follow those already there.
type Batch struct {
	Origin     Origin
	Records    []audit.Stored // without a gap, from the archived size on; as audit.Bundle.Extend gives them
	Leaves     []audit.Leaf   // the decoded leaf of each record: what searches look at is taken from it
	Checkpoint string         // with the box's signature; its size is that after the last record
	Stored     string         // the same with the hub's cosignature; it comes true with the commit. May be empty
	At         time.Time      // when the hub took it: decides on the month it is kept in
}

// MaxBatch bounds the records of one batch.
const MaxBatch = 64 << 10

// ErrMoved says that the archive does not stand where the batch begins: another hub was faster, or the batch was here
// before. Nothing was stored. Whoever gets it reads the tree again.
var ErrMoved = errors.New("the archive stands elsewhere by now")

// ErrQuarantined says that nothing more is taken of this origin until a person has looked. Nothing was stored.
var ErrQuarantined = errors.New("the log is in quarantine")

// Archive is the archive in a database. Its methods may be called from any goroutine, and several hubs may have one each
// on the same PostgreSQL database.
type Archive struct {
	db     *database.DB
	engine engine
	keep   Retention
	log    *slog.Logger
}

// engine is what SQL does differently in the two databases.
type engine interface {
	// append stores a checked batch in one transaction, and gives the place of its first record.
	append(context.Context, Batch) (seq int64, err error)
	// write runs fn in a transaction that writes.
	write(context.Context, func(*sql.Tx) error) error
	// settled is the place up to which nothing is still to be filled in; 0 where nothing is archived.
	settled(context.Context) (seq int64, err error)
	// prepare makes room for a month before anything is stored in it. It may be called again.
	prepare(context.Context, month) error
	// expire removes the rows of a table that lie in months before one.
	expire(ctx context.Context, table string, before month) (months int, err error)
	// scrub takes what was deleted out of the database's files, as far as the engine can.
	scrub(context.Context) error
}

// New makes an archive in an open database. It starts nothing; Run does the daily work.
func New(db *database.DB, keep Retention, log *slog.Logger) *Archive {
	a := &Archive{db: db, keep: keep, log: log}
	if db.Dialect == database.PostgreSQL {
		a.engine = &postgres{db: db, prepared: map[month]bool{}}
	} else {
		a.engine = &sqlite{db: db, turn: make(chan struct{}, 1)}
	}
	return a
}

// Append archives a batch, whole or not at all: durable when it returns nil. An error that is neither ErrMoved nor
// ErrQuarantined may leave the outcome unknown; the same batch again then gives ErrMoved, or is stored. seq is the place
// of its first record in the archive.
func (a *Archive) Append(ctx context.Context, b Batch) (seq int64, err error) {
	if err := b.check(); err != nil {
		return 0, fmt.Errorf("archive records of %s: %w", b.Origin, err)
	}
	if err := a.engine.prepare(ctx, monthOf(b.At)); err != nil {
		return 0, fmt.Errorf("archive records of %s: %w", b.Origin, err)
	}
	if seq, err = a.engine.append(ctx, b); err != nil {
		return 0, fmt.Errorf("archive records %d to %d of %s: %w", b.from(), b.end()-1, b.Origin, err)
	}
	return seq, nil
}

package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
	"tapward/sync/uplink"
)

// Archive is where records go, and what they are checked against.
type Archive interface {
	Origins(context.Context) ([]archive.Standing, error)
	Standing(context.Context, archive.Origin) (archive.Standing, error)
	Tree(context.Context, archive.Origin) (audit.Tree, error)
	Hashes(context.Context, archive.Origin) tlog.HashReader
	LeafHashes(ctx context.Context, o archive.Origin, from int64, limit int) ([]tlog.Hash, error)
	Append(context.Context, archive.Batch) (seq int64, err error)
	Raise(context.Context, archive.Incident) (archive.Incident, error)
}

// Boxes knows the keys that boxes sign their logs with.
type Boxes interface {
	// LogKeys are those of one box, the newest first; none: nobody knows that box.
	LogKeys(context.Context, uplink.Address) ([]note.Verifier, error)
}

// Broker is where bundles come from and receipts go.
type Broker interface {
	Ready() <-chan struct{} // closed when JetStream may be called
	JetStream() jetstream.JetStream
}

// Unregistered is the alarm of a box that sends and has no log key here.
const Unregistered gateway.Reason = "log-key-unknown"

// Config is what ingest is made of. All but the marked fields are required.
type Config struct {
	Broker   Broker
	Archive  Archive
	Boxes    Boxes
	Database *database.DB // for the places it has read up to
	Stored   note.Signer  // the hub's cosigner, uplink.NewStoredSigner
	Logger   *slog.Logger

	Alarm func(archive.Incident) // may be nil; is told of every new incident, and does not wait
}

// Counts are what ingest has done since it was made.
type Counts struct {
	Messages int64 // read
	Records  int64 // archived
	Repeats  int64 // messages that held nothing new
	Gaps     int64 // messages that came before what belongs before them
	Refused  int64 // messages that were no part of an accepted log, or of one in quarantine
	Receipts int64
}

// Ingest takes messages. Make it with New and start it with Run.
type Ingest struct {
	Config
	turns  *turns
	counts struct{ messages, records, repeats, gaps, refused, receipts atomic.Int64 }

	mu     sync.Mutex
	source source
	moved  map[uplink.Address]place // not yet written down
}

// New makes an ingest that does nothing until Run.
func New(config Config) (*Ingest, error) {
	if config.Broker == nil || config.Archive == nil || config.Boxes == nil || config.Database == nil ||
		config.Stored == nil || config.Logger == nil {
		return nil, errors.New("ingest: the broker, the archive, the boxes' keys, the hub's key, a database and a log must be given")
	}
	return &Ingest{Config: config, turns: newTurns(), moved: map[uplink.Address]place{}}, nil
}

// Counts are for metrics.
func (i *Ingest) Counts() Counts {
	c := &i.counts
	return Counts{c.messages.Load(), c.records.Load(), c.repeats.Load(), c.gaps.Load(), c.refused.Load(), c.receipts.Load()}
}

const (
	workers      = 4                // boxes that are read at the same time
	compareEvery = time.Minute      // receipts with the archive
	keepEvery    = time.Second      // places
	shortestWait = time.Second      // after something failed
	longestWait  = 30 * time.Second // after it failed again and again
)

// Run takes messages until ctx ends. What fails outside, the database or the broker, is logged and tried again for ever.
func (i *Ingest) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-i.Broker.Ready():
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { i.again(ctx, "hear what boxes sent", i.listen); return nil })
	g.Go(func() error { i.keepPlaces(ctx); return nil })
	for range workers {
		g.Go(func() error { i.work(ctx); return nil })
	}
	return g.Wait()
}

// again runs a task until ctx ends, with a pause after every failure.
func (i *Ingest) again(ctx context.Context, what string, task func(context.Context) error) {
	for wait := shortestWait; ctx.Err() == nil; wait = min(2*wait, longestWait) {
		began := time.Now()
		err := task(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longestWait {
			wait = shortestWait
		}
		i.Logger.Error("ingest cannot "+what+"; trying on", "err", err)
		pause(ctx, wait)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Ask lets a box send again what follows the archived records of one epoch: after a quarantine was lifted, for example.
// It returns at once; the receipt that asks follows.
func (i *Ingest) Ask(o archive.Origin) error {
	if err := o.Valid(); err != nil || o.Epoch == 0 {
		return fmt.Errorf("ask for records of %s: that names no log", o)
	}
	i.turns.ask(o)
	return nil
}

package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// Log is the box's own log. Reads take short turns, and Prune and KeepReceipt come from one goroutine.
type Log interface {
	// Checkpoint is the newest one that is safe outside the database, at next to no cost.
	Checkpoint() string
	// Outgoing is the whole log as it may leave the box, oldest epoch first.
	Outgoing(ctx context.Context) ([]audit.Outgoing, error)
	// Leaves reads at most limit records from an index on; pruned ones are left out.
	Leaves(ctx context.Context, epoch uint32, from int64, limit int) ([]audit.Stored, error)
	Hashes(ctx context.Context, epoch uint32) tlog.HashReader

	// KeepReceipt makes an epoch's newest receipt durable; size zero: there is none. gateway.ErrStorageFull: it did not.
	KeepReceipt(ctx context.Context, epoch uint32, size int64, stored string) error
	// Prune lets go of records that the kept receipt covers and that are older than the retention, at most so many. next
	// is from where nothing more can go for now. gateway.ErrStorageFull: nothing changed.
	Prune(ctx context.Context, epoch uint32, from int64, retention time.Duration, most int) (next int64, pruned int, err error)
	// DiskUsed is how much of the disk is taken, from 0 to 1.
	DiskUsed() (float64, error)
}

// Broker is where bundles go.
type Broker interface {
	// Publish stores a message if after is the sequence of the newest one on the subject (0: there is none), and gives
	// its own. After any error it may be stored or not.
	Publish(ctx context.Context, subject string, header map[string]string, payload []byte, after uint64) (sequence uint64, err error)
	// Newest is the newest message on the box's own subject; its Sequence is zero where there is none.
	Newest(ctx context.Context) (Newest, error)
}

// Newest is what the broker holds last of this box.
type Newest struct {
	Header   map[string]string
	Payload  []byte
	Sequence uint64
}

// Config is what an outbox is made of. All but the marked fields are required.
type Config struct {
	Address uplink.Address
	Log     Log
	Broker  Broker
	Signer  note.Signer   // the log key
	Box     note.Verifier // its public half
	Hub     note.Verifier // of the hub's cosignatures that mean "stored"
	Logger  *slog.Logger

	Retention time.Duration // how long the box keeps what the hospital has; 0: Retention

	// Witnessed gets every checkpoint of this box that comes back from the hospital: the log must account for it. It does
	// not wait.
	Witnessed func(checkpoint string)
	// Record writes into the box's log.
	Record func(ctx context.Context, r gateway.Record)
}

// Retention is longer than any sensible interval between backups of the hub.
const Retention = 30 * 24 * time.Hour

// Changed is the record of what became of the box's records on their way. State is "refused" or "taken-again".
const Changed gateway.RecordKind = "outbox.changed"

// Outbox sends and prunes. Make it with New and start it with Run.
type Outbox struct {
	Config
	turned chan struct{} // holds one token while a receipt may have changed where to go on

	mu      sync.Mutex
	held    map[uint32]holding
	heard   int    // receipts taken
	back    *place // where a receipt asks to go on from; nil once something was sent from there
	obeyed  *place // the one of them that sending goes on from
	asked   asked  // by the newest receipt that did
	at      place  // sent so far
	trouble string
	state   State
	counted counted // by the newest count in state
}

// New makes an outbox that does nothing until Run.
func New(config Config) (*Outbox, error) {
	if err := config.Address.Valid(); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	if config.Log == nil || config.Broker == nil || config.Signer == nil || config.Box == nil || config.Hub == nil {
		return nil, errors.New("outbox: the log, the broker and the keys must be given")
	}
	if config.Retention == 0 {
		config.Retention = Retention
	}
	return &Outbox{Config: config, turned: make(chan struct{}, 1), held: map[uint32]holding{}}, nil
}

// Run sends, prunes and counts until ctx ends, and is back at once then: what was not sent is sent another time. It fails
// at nothing for good: whatever is wrong is said and tried again, because a ward goes on without its hospital. A write
// whose outcome is unknown does no harm here; a disk that is broken ends the store's own Run.
func (o *Outbox) Run(ctx context.Context) error {
	o.recall(ctx)
	var g errgroup.Group
	g.Go(func() error { o.send(ctx); return nil })
	g.Go(func() error { o.tend(ctx); return nil })
	return g.Wait()
}

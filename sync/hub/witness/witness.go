package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/transparency-dev/formats/note"
	sumdb "golang.org/x/mod/sumdb/note"

	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
)

// Archive gives what the log is made of.
type Archive interface {
	Checkpoints(ctx context.Context, after int64, limit int) ([]archive.Accepted, error)
}

// Peer is a witness: where it is, and the key that it cosigns with.
type Peer struct {
	URL string // its base: add-checkpoint lies below it
	Key string // verifier key, as the witness's owner gives it
}

// Config is what a log is made of. All but the marked fields are required.
type Config struct {
	Database *database.DB
	Archive  Archive
	Signer   sumdb.Signer // the log key; its name is the log's
	Peers    []Peer       // none: the log grows, and nobody sees it
	Client   *http.Client // nil: http.DefaultClient's transport with a timeout
	Logger   *slog.Logger

	Every time.Duration // between looks for something new; 0: ten seconds
}

// Log is the hub's own log. Make it with New and start it with Run.
type Log struct {
	Config
	name  string
	peers []*peer
	wake  chan struct{}

	mu    sync.Mutex
	state []State
}

// State is how a witness and the log stand to each other.
type State struct {
	Witness string
	Size    int64     // it has cosigned
	At      time.Time // when; zero: not since the hub runs
	Trouble string    // in words; empty: all is well
	Ended   bool      // the witness has seen another history: only a log of a new name can go on
}

type peer struct {
	Peer
	verifier sumdb.Verifier
	size     int64 // that it has seen, as far as known
}

// New makes a log that does nothing until Run.
func New(config Config) (*Log, error) {
	if config.Database == nil || config.Archive == nil || config.Signer == nil || config.Logger == nil {
		return nil, errors.New("hub log: the database, the archive, the log key and a log for messages must be given")
	}
	if config.Client == nil {
		config.Client = &http.Client{Timeout: 20 * time.Second}
	}
	if config.Every == 0 {
		config.Every = 10 * time.Second
	}
	l := &Log{Config: config, name: config.Signer.Name(), wake: make(chan struct{}, 1)}
	for _, p := range config.Peers {
		verifier, err := note.NewVerifierForCosignatureV1(p.Key)
		if err != nil {
			return nil, fmt.Errorf("hub log: the key of the witness at %s: %w", p.URL, err)
		}
		l.peers = append(l.peers, &peer{Peer: p, verifier: verifier})
		l.state = append(l.state, State{Witness: verifier.Name()})
	}
	return l, nil
}

// Look lets Run look for something new now.
func (l *Log) Look() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// States says how each witness stands, in the order of the configuration.
func (l *Log) States() []State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]State(nil), l.state...)
}

// Run takes what the archive accepted into the log and has it witnessed, until ctx ends. What fails is logged and tried
// again.
func (l *Log) Run(ctx context.Context) error {
	each := time.NewTicker(l.Every)
	defer each.Stop()
	for {
		if err := l.round(ctx); err != nil && ctx.Err() == nil {
			l.Logger.Error("the hub's own log cannot go on; trying on", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-each.C:
		case <-l.wake:
		}
	}
}

func (l *Log) round(ctx context.Context) error {
	if err := l.grow(ctx); err != nil {
		return err
	}
	return l.show(ctx)
}

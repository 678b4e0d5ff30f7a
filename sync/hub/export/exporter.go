package export

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tapward/sync/hub/database"
)

// Feed is one receiver under a name that stays: its cursor and its dead letters are kept under it. It goes to one
// receiver, from one running hub.
type Feed struct {
	Name     string
	Target   Target
	Batch    int  // records handed over at once; 0: Batch
	FromNow  bool // a feed that is new begins with what comes, and not with the oldest that the archive keeps
	Patience int  // refusals in a row until it is the receiver that is taken to be wrong; 0: Patience
}

// What a feed has where its configuration says nothing.
const (
	Batch    = 100
	Patience = 100
)

// Config is what an exporter is made of.
type Config struct {
	Database *database.DB
	Archive  Archive
	Feeds    []Feed
	Logger   *slog.Logger

	Poll  time.Duration // how often a feed looks for records that nobody woke it for; 0: Poll
	First time.Duration // the first wait after a failure, doubled with each that follows; 0: First
	Most  time.Duration // the longest; 0: Most
}

// What an exporter has where its configuration says nothing.
const (
	Poll  = 5 * time.Second
	First = time.Second
	Most  = 5 * time.Minute
)

// Exporter delivers to every feed. Make it with New and start it with Run.
type Exporter struct {
	*Ledger
	config Config
	feeds  []*feed
}

// New makes an exporter that does nothing until Run.
func New(config Config) (*Exporter, error) {
	config.Poll, config.First, config.Most = or(config.Poll, Poll), or(config.First, First), or(config.Most, Most)
	e := &Exporter{Ledger: NewLedger(config.Database), config: config}
	names := map[string]bool{}
	for _, f := range config.Feeds {
		switch {
		case f.Name == "" || Line(f.Name) != f.Name:
			return nil, fmt.Errorf("export: %q is no name for a feed", f.Name)
		case names[f.Name]:
			return nil, fmt.Errorf("export: there are two feeds %s", f.Name)
		case f.Target == nil:
			return nil, fmt.Errorf("export: feed %s has no receiver", f.Name)
		}
		if err := check(f.Target); err != nil {
			return nil, fmt.Errorf("export: feed %s: %w", f.Name, err)
		}
		names[f.Name] = true
		f.Batch, f.Patience = or(f.Batch, Batch), or(f.Patience, Patience)
		e.feeds = append(e.feeds, &feed{
			Feed: f, exporter: e, log: config.Logger.With("feed", f.Name), woken: make(chan struct{}, 1),
		})
	}
	return e, nil
}

func check(t Target) error {
	if c, ok := t.(interface{ Check() error }); ok {
		return c.Check()
	}
	return nil
}

func or[T int | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}

// Wake says that the archive has more. It does not wait.
func (e *Exporter) Wake() {
	for _, f := range e.feeds {
		select {
		case f.woken <- struct{}{}:
		default:
		}
	}
}

// Run delivers until ctx ends. No feed waits for another, and none ends for a failure.
func (e *Exporter) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, f := range e.feeds {
		all.Go(func() { f.run(ctx) })
	}
	all.Wait()
	return nil
}

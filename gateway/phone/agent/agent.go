package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// Config is what an Agent is made of.
type Config struct {
	Phone    gateway.PhoneID
	Identity link.Identity
	State    State // as OpenStateFile returned it
	Store    Store
	Device   Device
	Boxes    []Box
	Version  string // name and version of the program, for people

	// Listen is where boxes connect; nil: the agent only dials. Run closes it.
	Listen net.Listener
	// Dial connects to a box.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Advertise lets boxes find the phone, until ctx ends; nil: they do not.
	Advertise func(ctx context.Context) error

	// BootID and Boot are the machine's boot and the time since it, suspend included.
	BootID string
	Boot   func() time.Duration

	Log *slog.Logger
}

// Store keeps states durably; StateFile is one. After an error it is not known which state it holds.
type Store interface{ Save(State) error }

// Agent is a phone. Its methods may be called from any goroutine while Run runs.
type Agent struct {
	cfg     Config
	trust   trust
	keeper  keeper
	calls   chan func(*keeper)
	gesture chan gestured
	free    chan struct{} // the dialler should look again
	view    viewBox
}

type gestured struct {
	Gesture
	refused chan error
}

// ErrStopped is returned where Run has ended.
var ErrStopped = errors.New("the agent has stopped")

// ErrAsleep refuses a gesture to a phone that was told to sleep.
var ErrAsleep = errors.New("the phone is asleep: wake it first")

// New starts nothing.
func New(cfg Config) *Agent {
	a := &Agent{
		cfg:     cfg,
		calls:   make(chan func(*keeper)),
		gesture: make(chan gestured),
		free:    make(chan struct{}, 1),
	}
	a.trust.set(cfg.Boxes)
	a.keeper = newKeeper(a)
	a.view.set(a.keeper.look())
	return a
}

// Run is the phone's life, until ctx ends or the state cannot be stored. It returns when all it started has ended. It
// runs once.
func (a *Agent) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.keeper.run(ctx) })
	group.Go(func() error { return a.dial(ctx) })
	if a.cfg.Listen != nil {
		group.Go(func() error { return a.accept(ctx) })
	}
	if a.cfg.Advertise != nil {
		group.Go(func() error { return a.cfg.Advertise(ctx) })
	}
	return group.Wait()
}

// Trust replaces the boxes; links with others end.
func (a *Agent) Trust(ctx context.Context, boxes []Box) error {
	a.trust.set(boxes)
	a.wakeDialler()
	return a.call(ctx, func(k *keeper) { k.cutStrangers() })
}

// Propose says where a box may be found. What is not trusted is passed over.
func (a *Agent) Propose(key gateway.Fingerprint, addr string) {
	a.trust.propose(key, addr)
	a.wakeDialler()
}

// Gesture is something that happens to the phone's body. It returns when the phone has noticed.
func (a *Agent) Gesture(ctx context.Context, g Gesture) error {
	if err := g.Check(); err != nil {
		return err
	}
	made := gestured{g, make(chan error, 1)}
	select {
	case a.gesture <- made:
		return <-made.refused
	case <-a.keeper.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call has f run by the loop, with the keeper in its hands, and returns when it has run. It waits while the phone
// sleeps.
func (a *Agent) call(ctx context.Context, f func(*keeper)) error {
	ran := make(chan struct{})
	select {
	case a.calls <- func(k *keeper) { f(k); close(ran) }:
		<-ran
		return nil
	case <-a.keeper.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Agent) wakeDialler() {
	select {
	case a.free <- struct{}{}:
	default:
	}
}

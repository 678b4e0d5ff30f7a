package handoff

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/phone"
	"tapward/gateway/policy"
	"tapward/gateway/session"
	"tapward/reader"
)

// Journal makes decisions durable. One goroutine calls it.
type Journal interface {
	// Commit makes the state, the entries as leaves of the log, and the lasting part of the acts durable in one
	// transaction, and returns the head of the log. gateway.ErrStorageFull: nothing changed. Any other error: the
	// outcome is unknown, and the process must start again from what is stored.
	Commit(ctx context.Context, s session.State, entries []audit.Entry, acts ...gateway.Act) (audit.Head, error)

	// Compare says why the log cannot account for a head that somebody outside kept; empty where it can. OpenEpoch then
	// begins a new tree, whose first leaf names that checkpoint; it fails as Commit does.
	Compare(ctx context.Context, outside audit.Head) (gateway.Reason, error)
	OpenEpoch(ctx context.Context, why gateway.Reason, prior string, e audit.Entry) (audit.Head, error)

	// Storage is how much room is left; it is cheap.
	Storage() gateway.Storage

	// ReleaseReserve gives the room that is kept for locks and returns. It may be called again.
	ReleaseReserve() error
}

// Phones carries commands to phones. Nothing here waits.
type Phones interface {
	// Send delivers a command, again and again under one id, until the phone answers, its link ends or the command is
	// too old. name is what a bind shows.
	Send(c gateway.Command, name string)
	// Prepare announces a Send that follows if the commit succeeds. Nothing goes out before.
	Prepare(c gateway.Command, name string)
	Pair(p gateway.Phone)
	Forget(id gateway.PhoneID)
	Propose(s phone.Sighting)
}

// Readers shows feedback where it can, without waiting.
type Readers interface{ Signal(f gateway.Feedback) }

// Config is what the engine is made of. All but the marked fields are required.
type Config struct {
	Box     gateway.BoxID
	Key     gateway.Fingerprint // of the box's links, for people to compare when they pair a phone
	Ward    string
	Journal Journal
	Phones  Phones
	Readers Readers
	Log     *slog.Logger

	// As stored.
	State    session.State
	Paired   []gateway.Phone
	Head     audit.Head
	Boot     uint64
	SameBoot bool
	Policy   policy.Snapshot
	Loaded   time.Time // when the policy was
	Floor    time.Time // one that has surely passed, as the log knows; zero: it knows none

	BadgeKey gateway.BadgeKey // for the policies to come
	Sources  []gateway.ReaderID

	Uptime   func() time.Duration // since the machine booted, on a clock that runs in suspend
	Ready    func()               // optional: called once the first commit is through
	Pet      func()               // optional: called by the loop every Watchdog
	Watchdog time.Duration
	Trace    io.Writer // optional: every step as a line of JSON
}

// Engine runs a ward. Its methods may be called from any goroutine while Run runs.
type Engine struct {
	cfg     Config
	mailbox chan message
	ward    atomic.Pointer[picture]

	// Owned by Run.
	state    session.State
	registry phone.Registry
	policy   policy.Snapshot
	loaded   time.Time
	head     audit.Head
	clock    audit.Clock
	floor    floor
	agreed   floor // when the clock was last found synchronised
	storage  gateway.Storage
	uplink   gateway.Uplink
	readers  map[gateway.ReaderID]gateway.WardReader
	taps     []gateway.WardTap
	armed    map[gateway.ReaderID]takeover
	passages map[gateway.Custody]passage
	refused  map[string]time.Time // strangers told of lately
	pending  []audit.Entry        // happened while nothing could be written
	owed     []gateway.Act        // in force, and durable as soon as something can be written
	batch    batch
	started  time.Time
	nextPet  time.Time
	nextLook time.Time // for people whose time is over, and for room on the disk
}

// message is what the mailbox takes.
type message interface{ message() }

type (
	tapped       struct{ gateway.Tap }
	reported     struct{ phone.Report }
	turned       struct{ reader.Status }
	clocked      struct{ audit.Clock }
	uplinked     struct{ gateway.Uplink }
	recorded     struct{ gateway.Record }
	contradicted struct {
		head       audit.Head
		checkpoint string
	}
	acted struct {
		operator string
		act      gateway.Act
		document policy.Document // LoadPolicy: parsed outside the loop
		mistakes error           // in the document
		done     chan<- error
	}
)

func (tapped) message()       {}
func (reported) message()     {}
func (turned) message()       {}
func (clocked) message()      {}
func (acted) message()        {}
func (contradicted) message() {}
func (uplinked) message()     {}
func (recorded) message()     {}

const (
	mailboxSize = 1024
	batchSize   = 256 // messages taken into one commit
	lookEvery   = time.Minute
	lookSoon    = 5 * time.Second // while the disk has little room
	drainFor    = 2 * time.Second
)

// New makes an engine that does nothing until Run.
func New(cfg Config) *Engine {
	e := &Engine{
		cfg:      cfg,
		mailbox:  make(chan message, mailboxSize),
		state:    cfg.State,
		registry: phone.NewRegistry(cfg.Paired),
		policy:   cfg.Policy,
		loaded:   cfg.Loaded,
		head:     cfg.Head,
		clock:    audit.ClockUnknown,
		uplink:   gateway.Uplink{State: gateway.NoUplink},
		floor:    floor{cfg.Floor.Round(0), cfg.Uptime()},
		readers:  map[gateway.ReaderID]gateway.WardReader{},
		armed:    map[gateway.ReaderID]takeover{},
		passages: map[gateway.Custody]passage{},
		refused:  map[string]time.Time{},
	}
	e.state.Box = cfg.Box
	for _, id := range cfg.Sources {
		e.readers[id] = gateway.WardReader{ID: id}
	}
	e.ward.Store(&picture{&gateway.Ward{Box: cfg.Box, Name: cfg.Ward}, make(chan struct{})})
	return e
}

// Tap puts a tap into the mailbox; it waits while the mailbox is full.
func (e *Engine) Tap(ctx context.Context, t gateway.Tap) { e.post(ctx, tapped{t}) }

// Report puts what a phone or discovery told into the mailbox.
func (e *Engine) Report(ctx context.Context, r phone.Report) { e.post(ctx, reported{r}) }

// Reader puts a reader's new state into the mailbox.
func (e *Engine) Reader(ctx context.Context, s reader.Status) { e.post(ctx, turned{s}) }

// Clock tells whether the wall clock may be believed.
func (e *Engine) Clock(ctx context.Context, c audit.Clock) { e.post(ctx, clocked{c}) }

// Contradicted brings a checkpoint of this box, kept by a phone, that the log could not account for.
func (e *Engine) Contradicted(ctx context.Context, head audit.Head, checkpoint string) {
	e.post(ctx, contradicted{head, checkpoint})
}

// Uplink tells how the box stands with the hospital, for the station; nothing is decided by it.
func (e *Engine) Uplink(ctx context.Context, u gateway.Uplink) { e.post(ctx, uplinked{u}) }

// Record has something written down that happened outside the loop.
func (e *Engine) Record(ctx context.Context, r gateway.Record) { e.post(ctx, recorded{r}) }

func (e *Engine) post(ctx context.Context, m message) bool {
	select {
	case e.mailbox <- m:
		return true
	case <-ctx.Done():
		return false
	}
}

// Run goes on from the stored state until ctx ends, then handles what is still in the mailbox, for two seconds at most.
// Any error means that what was decided last may or may not be stored: exit and start again.
func (e *Engine) Run(ctx context.Context) error {
	e.started = time.Now()
	e.nextLook = e.started
	e.begin()
	e.step(session.Restarted{At: e.started, SameBoot: e.cfg.SameBoot})
	e.note(gateway.Record{Kind: gateway.BoxStarted})
	if err := e.finish(); err != nil {
		return err
	}
	if e.cfg.Ready != nil {
		e.cfg.Ready()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(time.Until(e.wake()))
		select {
		case m := <-e.mailbox:
			if err := e.turn(m); err != nil {
				return err
			}
		case <-timer.C:
			if err := e.turn(nil); err != nil {
				return err
			}
		case <-ctx.Done():
		}
	}
	return e.drain()
}

// turn handles one message with all that wait behind it, and whatever is due, in one commit.
func (e *Engine) turn(first message) error {
	e.begin()
	if first != nil {
		e.handle(first)
	}
	for n := 1; n < batchSize; n++ {
		select {
		case m := <-e.mailbox:
			e.handle(m)
			continue
		default:
		}
		break
	}
	e.due()
	return e.finish()
}

func (e *Engine) handle(m message) {
	switch m := m.(type) {
	case tapped:
		e.tap(m.Tap)
	case reported:
		e.report(m.Report)
	case turned:
		e.readerTurned(m.Status)
	case clocked:
		e.clockTurned(m.Clock)
	case contradicted:
		e.batch.outside = append(e.batch.outside, m)
	case uplinked:
		e.uplink, e.batch.show = m.Uplink, true
	case recorded:
		e.note(m.Record)
	case acted:
		e.act(m)
	default:
		panic(fmt.Sprintf("handoff: unknown message %T", m))
	}
}

// drain handles what came before the end and says that the box stopped.
func (e *Engine) drain() error {
	until := time.Now().Add(drainFor)
	for len(e.mailbox) > 0 && time.Now().Before(until) {
		if err := e.turn(<-e.mailbox); err != nil {
			return err
		}
	}
	e.begin()
	e.note(gateway.Record{Kind: gateway.BoxStopped})
	return e.finish()
}

package link

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// Config is what the box's end of the links needs. Box, Identity, Out and Log are required.
type Config struct {
	Box      gateway.BoxID
	Identity Identity
	Phones   []gateway.Phone // paired when the box starts; Pair and Forget change them later

	// Listen accepts phones that dial; Run closes it. Nil: the box only dials.
	Listen net.Listener
	// Dial opens a connection to a phone's host:port. Nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)

	// Out gets everything the links learn. Sends block while its reader is busy, and end with Run's ctx.
	Out chan<- phone.Report

	// Checkpoint is the box's newest audit checkpoint, given to phones to keep; nil or empty: none yet. Witnessed is
	// told of every checkpoint of this box that a phone returns in its hello, before its Linked is reported; nil: not
	// wanted. Both are called from many goroutines and must not wait.
	Checkpoint func() string
	Witnessed  func(gateway.PhoneID, string)

	// Reached is told of an address at which a paired phone has just proved itself, to be proposed when the box starts
	// again. It is called as Witnessed is.
	Reached func(gateway.PhoneID, string)

	Log *slog.Logger
}

// Links is the box's end of the links with all its phones: it accepts and dials them, keeps one standing link each,
// carries commands to them and reports what they signed. It refuses strangers one by one: nothing that comes over one
// connection harms another.
type Links struct {
	cfg      Config
	wake     chan struct{} // the dialler looks for work
	halfOpen HalfOpen
	strikes  strikes

	mu       sync.Mutex
	pairs    map[gateway.PhoneID]*pairing
	keys     map[gateway.Fingerprint]gateway.PhoneID
	standing map[gateway.PhoneID]*standing // until all of a link is reported, also after its phone was forgotten
	dials    int                           // under way
}

// pairing is a paired phone as the links see it.
type pairing struct {
	phone    gateway.Phone
	routes   routes
	greeting int    // authenticated connections whose hello is awaited
	quota    bucket // of new links
	dialled  bucket // of our attempts
}

// New starts nothing.
func New(cfg Config) *Links {
	if cfg.Dial == nil {
		var dialer net.Dialer
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", addr)
		}
	}
	if cfg.Checkpoint == nil {
		cfg.Checkpoint = func() string { return "" }
	}
	if cfg.Witnessed == nil {
		cfg.Witnessed = func(gateway.PhoneID, string) {}
	}
	if cfg.Reached == nil {
		cfg.Reached = func(gateway.PhoneID, string) {}
	}
	l := &Links{
		cfg:      cfg,
		wake:     make(chan struct{}, 1),
		halfOpen: HalfOpen{Most: maxHalfOpen},
		pairs:    map[gateway.PhoneID]*pairing{},
		keys:     map[gateway.Fingerprint]gateway.PhoneID{},
		standing: map[gateway.PhoneID]*standing{},
	}
	for _, p := range cfg.Phones {
		l.Pair(p)
	}
	return l
}

// Run accepts and dials phones until ctx ends or the listener fails, and returns when every link is closed and every
// goroutine has ended. It is called once.
func (l *Links) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { l.dialDue(ctx, &all) })
	if l.cfg.Listen == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return l.accept(ctx, &all)
}

// Pair makes a phone's key known, now. Pairing a known id again replaces its addresses, and its key; a link by the
// former key is cut. A key belongs to the phone it was paired with last.
func (l *Links) Pair(p gateway.Phone) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if former, ok := l.keys[p.Key]; ok && former != p.ID {
		l.forget(former, "its key was paired as "+string(p.ID))
	}
	known, ok := l.pairs[p.ID]
	if ok && known.phone.Key != p.Key {
		l.forget(p.ID, "another key was paired")
		ok = false
	}
	if !ok {
		known = &pairing{}
		l.pairs[p.ID] = known
	}
	p.Addrs = slices.Clone(p.Addrs)
	known.phone = p
	known.routes.configure(p.Addrs)
	l.keys[p.Key] = p.ID
	l.look()
}

// Forget makes a phone's key unknown again and cuts its link. Forgetting an unknown phone does nothing.
func (l *Links) Forget(id gateway.PhoneID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(id, "the phone was removed")
}

func (l *Links) forget(id gateway.PhoneID, why string) {
	p, ok := l.pairs[id]
	if !ok {
		return
	}
	if s, ok := l.standing[id]; ok {
		s.cancel(&ended{why})
	}
	delete(l.keys, p.phone.Key)
	delete(l.pairs, id)
}

// Propose is a hint where a paired phone may be; it is tried unless the phone is linked. A sighting of no paired key is
// passed over.
func (l *Links) Propose(s phone.Sighting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.pairs[l.keys[s.Key]]
	if !ok {
		return
	}
	now := time.Now()
	for _, addr := range s.Addrs {
		if addr.IsValid() {
			p.routes.sight(addr.String(), now)
		}
	}
	l.look()
}

// Send gives a command to the phone's link and never waits. The command goes out under one id until its receipt comes,
// a later command for the phone takes its place, the link ends, or 10 s have passed. A phone without a link gets
// nothing: the caller learns by its own deadline. name is shown on the phone with a bind.
func (l *Links) Send(cmd gateway.Command, name string) {
	to, ok := l.link(cmd.Phone)
	if !ok {
		l.cfg.Log.Info("command dropped: the phone has no link", "phone", cmd.Phone, "command", cmd.Kind)
		return
	}
	to.give(&to.waiting, order{cmd, name})
}

// Prepare has the phone's link write and sign a command for which Send may be called soon, so that this takes no time
// then. It never waits. Nothing goes out, and what is not sent next is forgotten.
func (l *Links) Prepare(cmd gateway.Command, name string) {
	if to, ok := l.link(cmd.Phone); ok {
		to.give(&to.soon, order{cmd, name})
	}
}

func (l *Links) link(id gateway.PhoneID) (*standing, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.standing[id]
	return s, ok
}

// Knows says that a key is a paired phone's: the pin that accepted connections are checked against.
func (l *Links) Knows(key gateway.Fingerprint) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.keys[key]
	return ok
}

// look wakes the dialler.
func (l *Links) look() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// report passes r on unless ctx ends first.
func (l *Links) report(ctx context.Context, r phone.Report) {
	select {
	case l.cfg.Out <- r:
	case <-ctx.Done():
	}
}

// checkpoint is the newest one that fits a message: none is better than no link.
func (l *Links) checkpoint() string {
	text := l.cfg.Checkpoint()
	if len(text) > MaxCheckpoint {
		l.cfg.Log.Error("checkpoint is too long for a message", "bytes", len(text), "allowed", MaxCheckpoint)
		return ""
	}
	return text
}

// witness passes on what a phone has kept of this box's log.
func (l *Links) witness(c HelloClaims) {
	if checkpoint := c.Checkpoints[l.cfg.Box]; checkpoint != "" {
		l.cfg.Witnessed(c.Phone, checkpoint)
	}
}

// ended is why a link was closed, where nothing failed.
type ended struct{ why string }

func (e *ended) Error() string { return e.why }

// violation is a peer that broke the protocol, or whose word cannot be trusted. Its link is closed and it is reported
// as a stranger.
type violation struct{ why string }

func (e *violation) Error() string { return e.why }

func violated(format string, args ...any) error { return &violation{fmt.Sprintf(format, args...)} }

// verified turns a failed check of a signature into a violation.
func verified[C any](verify func(*ecdsa.PublicKey, string) (C, error), key *ecdsa.PublicKey, signed string) (C, error) {
	c, err := verify(key, signed)
	if err != nil {
		return c, violated("%s", cut(err.Error(), maxWhy))
	}
	return c, nil
}

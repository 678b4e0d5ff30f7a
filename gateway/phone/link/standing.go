package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// Liveness: a phone sends a status about every StatusEvery. After quietFor without a message it is pinged, after
// DeadAfter its link is ended. The phone ends a link that brought nothing, not even an ack, for as long.
const (
	StatusEvery = 4 * time.Second
	DeadAfter   = 15 * time.Second

	quietFor = 5 * time.Second
)

var messageRate = rate{burst: 64, perSecond: 20} // of one link

// standing is a phone's one link, from its verified hello on. One goroutine owns all of it but the orders that wait; a
// second one only reads messages.
type standing struct {
	links   *Links
	phone   gateway.PhoneID
	conn    *Conn
	hello   HelloClaims
	dialled bool

	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when both goroutines have ended and everything is reported

	mu      sync.Mutex
	waiting *order        // given by Send, not yet taken up; a newer one takes its place
	soon    *order        // given by Prepare, likewise
	given   chan struct{} // waiting or soon was set

	challenge challenge
	heard     time.Time // when the last message came
	pinged    time.Time
	received  bucket
	selfLock  int64 // since_boot_ms of the newest lock of the phone's own
	current   *carried
	prepared  *written // what Send may be about to give; nil: nothing
	asked     asked
}

func newStanding(l *Links, conn *Conn, hello Hello, claims HelloClaims, dialled bool) *standing {
	now := time.Now()
	return &standing{
		links: l, phone: claims.Phone, conn: conn, hello: claims, dialled: dialled,
		done:      make(chan struct{}),
		given:     make(chan struct{}, 1),
		challenge: challenge{hello.Challenge, now},
		heard:     now,
	}
}

// errReplaced ends a link whose phone came back over another.
var errReplaced = errors.New("replaced by a newer link")

// errSilent ends a link that brought nothing for DeadAfter.
var errSilent = fmt.Errorf("silent for %s", DeadAfter)

// serve makes s the phone's link, reports it, and keeps it to its end. A link that it replaces has ended and reported
// all it had before s reports anything.
func (l *Links) serve(ctx context.Context, s *standing) {
	defer s.conn.Close()
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	defer s.cancel(nil)
	former, ok := l.install(s)
	if !ok {
		return
	}
	defer l.uninstall(s)
	if former != nil {
		former.cancel(errReplaced)
		<-former.done
	}
	if context.Cause(s.ctx) == errReplaced {
		return // never reported: whoever replaced it reports the phone
	}
	l.witness(s.hello)
	l.report(ctx, phone.Linked{At: time.Now(), Phone: s.phone, Truth: s.hello.Truth, Held: s.hello.Held})
	l.cfg.Log.Info("phone linked", "phone", s.phone, "address", s.conn.RemoteAddr(), "dialled", s.dialled)
	why := s.exchange()
	l.cfg.Log.Info("phone link ended", "phone", s.phone, "address", s.conn.RemoteAddr(), "why", why)
	if blames(why) {
		l.refuse(ctx, s.phone, s.conn.Peer(), s.conn.RemoteAddr(), why)
	}
	if context.Cause(s.ctx) != errReplaced {
		l.report(ctx, phone.Unlinked{At: time.Now(), Phone: s.phone, Why: why.Error()})
	}
}

// install registers s unless its key was forgotten meanwhile, or it was dialled and the phone's own came first.
func (l *Links) install(s *standing) (former *standing, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.pairs[s.phone]
	former = l.standing[s.phone]
	if !ok || p.phone.Key != s.conn.Peer() || s.dialled && former != nil {
		return nil, false
	}
	l.standing[s.phone] = s
	return former, true
}

func (l *Links) uninstall(s *standing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(s.done)
	if l.standing[s.phone] != s {
		return
	}
	delete(l.standing, s.phone)
	if p, ok := l.pairs[s.phone]; ok {
		p.routes.unlinked(time.Now())
	}
	l.look()
}

// exchange carries messages both ways until the link ends, and says why it did.
func (s *standing) exchange() error {
	inbox, failed := make(chan Message), make(chan error, 1)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer s.conn.Close()
	stop := context.AfterFunc(s.ctx, func() { s.conn.Close() })
	defer stop()
	over := make(chan struct{})
	defer close(over)
	reader.Go(func() { failed <- s.read(inbox, over) })
	if err := s.acknowledge(); err != nil {
		return s.why(err)
	}
	timer := time.NewTimer(quietFor)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return s.why(s.ctx.Err())
		case err = <-failed:
		case m := <-inbox:
			err = s.take(m)
		case <-s.given:
			err = s.begin(time.Now())
		case <-timer.C:
			err = s.tick(time.Now())
		}
		if err != nil {
			return s.why(err)
		}
		timer.Reset(time.Until(s.next()))
	}
}

// why prefers the reason that the link was cut for over the error that the cut made. A phone that closes while we write
// is learnt of by a reset instead of the end of its messages.
func (s *standing) why(err error) error {
	if cause := context.Cause(s.ctx); cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return &ended{"closed by the phone"}
	}
	return err
}

func (s *standing) read(inbox chan<- Message, over <-chan struct{}) error {
	for {
		m, err := s.conn.Read()
		if err != nil {
			return err
		}
		select {
		case inbox <- m:
		case <-over:
			return nil
		}
	}
}

// take acts on one message of the phone and answers it.
func (s *standing) take(m Message) error {
	s.heard = time.Now()
	if !s.received.take(s.heard, messageRate) {
		return violated("more messages than %v a second", messageRate.perSecond)
	}
	switch m := m.(type) {
	case ReceiptMessage:
		s.challenge = challenge{m.Challenge, s.heard}
		if err := s.receipt(m); err != nil {
			return err
		}
	case StatusMessage:
		s.challenge = challenge{m.Challenge, s.heard}
		s.status(m)
	default:
		return violated("%s is out of order here", typeOf(m))
	}
	if err := s.challenged(); err != nil {
		return err
	}
	return s.acknowledge()
}

func (s *standing) status(m StatusMessage) {
	s.links.report(s.ctx, phone.Status{
		At: s.heard, Phone: s.phone,
		Battery: m.Battery, Charging: m.Charging, Healthy: m.Healthy,
		Slot: m.Slot, PickedUp: m.PickedUp, Left: m.Left, Presented: m.Presented, Locked: m.Locked,
	})
}

func (s *standing) acknowledge() error {
	return s.conn.Write(Ack{Checkpoint: s.links.checkpoint()})
}

// tick does what time asks for: a ping, a resend, or the end.
func (s *standing) tick(now time.Time) error {
	if now.Sub(s.heard) >= DeadAfter {
		return errSilent
	}
	if !now.Before(s.quiet()) {
		if err := s.ping(now); err != nil {
			return err
		}
	}
	return s.again(now)
}

// quiet is when the phone is pinged for being silent.
func (s *standing) quiet() time.Time {
	if s.pinged.After(s.heard) {
		return s.pinged.Add(quietFor)
	}
	return s.heard.Add(quietFor)
}

func (s *standing) ping(now time.Time) error {
	s.pinged = now
	return s.conn.Write(Ping{})
}

// next is when tick has something to do.
func (s *standing) next() time.Time {
	at := s.heard.Add(DeadAfter)
	if quiet := s.quiet(); quiet.Before(at) {
		at = quiet
	}
	if s.current != nil && s.current.again.Before(at) {
		at = s.current.again
	}
	return at
}

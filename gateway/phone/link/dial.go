package link

import (
	"context"
	"errors"
	"sync"
	"time"

	"tapward/gateway"
)

const (
	maxDials      = 32 // at once, of all phones
	maxPhoneDials = 4  // at once, of one phone
	connectWithin = 3 * time.Second
)

var dialRate = rate{burst: 8, perSecond: 2} // of one phone

// dialDue dials the phones without a link at the addresses that are due, until ctx ends.
func (l *Links) dialDue(ctx context.Context, all *sync.WaitGroup) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-timer.C:
		}
		now := time.Now()
		due, next := l.due(now)
		for _, d := range due {
			all.Go(func() { l.dial(ctx, d) })
		}
		if !next.IsZero() {
			timer.Reset(max(next.Sub(now), 10*time.Millisecond))
		}
	}
}

func (l *Links) roomToDial(p *pairing) bool {
	return l.dials < maxDials && p.routes.dialling() < maxPhoneDials
}

// dialling is one attempt at one address.
type dialling struct {
	key   gateway.Fingerprint
	route *route
}

// due takes the attempts to be made now, and says when to look again; zero: when woken.
func (l *Links) due(now time.Time) (take []dialling, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.pairs {
		if l.standing[p.phone.ID] != nil || p.greeting > 0 {
			continue // looked at again when it ends
		}
		for l.roomToDial(p) {
			r := p.routes.next(now)
			if r == nil {
				break
			}
			if !p.dialled.take(now, dialRate) {
				r.due = now.Add(time.Second)
				continue
			}
			r.dialling = true
			l.dials++
			take = append(take, dialling{p.phone.Key, r})
		}
		if !l.roomToDial(p) {
			continue // looked at again when an attempt ends
		}
		if at := p.routes.earliest(); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return take, next
}

// dial makes one attempt and serves the link that comes of it to its end.
func (l *Links) dial(ctx context.Context, d dialling) {
	s, err := l.reach(ctx, d)
	l.settle(d, err)
	if err == nil {
		l.cfg.Reached(s.phone, d.route.addr)
		l.serve(ctx, s)
	}
}

// settle notes at the route how the attempt went. Coming second to the phone's own connection is no failure.
func (l *Links) settle(d dialling, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dials--
	d.route.dialling = false
	d.route.retry(err != nil && !errors.Is(err, errLinked), time.Now())
	if err == nil {
		d.route.good = true
	}
	l.look()
}

// reach connects to the address and hears the phone's hello there.
func (l *Links) reach(ctx context.Context, d dialling) (*standing, error) {
	shake, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	connect, stop := context.WithTimeout(shake, connectWithin)
	defer stop()
	raw, err := l.cfg.Dial(connect, d.route.addr)
	if err != nil {
		l.cfg.Log.Debug("dial phone", "address", d.route.addr, "err", err)
		return nil, err
	}
	expected := func(key gateway.Fingerprint) bool { return key == d.key }
	conn, err := Client(shake, raw, l.cfg.Identity, expected)
	if err != nil {
		l.refuse(ctx, "", gateway.Fingerprint{}, d.route.addr, err)
		return nil, err
	}
	s, err := l.admit(ctx, shake, conn, true)
	if err != nil {
		conn.Close()
	}
	return s, err
}

package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"tapward/gateway"
)

// handshakeTimeout bounds the time from connecting to a valid hello.
const handshakeTimeout = 5 * time.Second

// accept takes connections until ctx ends (its error) or the listener fails for good.
func (l *Links) accept(ctx context.Context, all *sync.WaitGroup) error {
	stop := context.AfterFunc(ctx, func() { l.cfg.Listen.Close() })
	defer stop()
	defer l.cfg.Listen.Close()
	var pause time.Duration
	for {
		raw, err := l.cfg.Listen.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				raw.Close()
			}
			return ctx.Err()
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept phones: %w", err)
		case err != nil: // out of files, or a connection that died in the queue: both pass
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			l.cfg.Log.Warn("accept phones: waiting before the next try", "err", err, "wait", pause)
			if !wait(ctx, pause) {
				return ctx.Err()
			}
			continue
		}
		pause = 0
		l.halfOpen.add(raw)
		all.Go(func() { l.welcome(ctx, raw) })
	}
}

// welcome turns an accepted connection into the phone's link and serves it to its end.
func (l *Links) welcome(ctx context.Context, raw net.Conn) {
	defer l.halfOpen.remove(raw)
	shake, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := Server(shake, raw, l.cfg.Identity, l.Knows)
	if err != nil {
		l.refuse(ctx, "", gateway.Fingerprint{}, raw.RemoteAddr().String(), err)
		return
	}
	s, err := l.admit(ctx, shake, conn, false)
	if err != nil {
		conn.Close()
		return
	}
	l.halfOpen.remove(raw)
	l.serve(ctx, s)
}

// wait says false where ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

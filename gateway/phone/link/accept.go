package link

import (
	"context"
	"net"
	"sync"
	"time"

	"tapward/gateway"
)

// handshakeTimeout bounds the time from connecting to a valid hello.
const handshakeTimeout = 5 * time.Second

// maxHalfOpen bounds the accepted connections that have not brought a valid hello yet.
const maxHalfOpen = 256

// accept takes connections until ctx ends (its error) or the listener fails for good.
func (l *Links) accept(ctx context.Context, all *sync.WaitGroup) error {
	return l.halfOpen.Accept(ctx, l.cfg.Listen, l.cfg.Log, func(raw net.Conn) {
		all.Go(func() { l.welcome(ctx, raw) })
	})
}

// welcome turns an accepted connection into the phone's link and serves it to its end.
func (l *Links) welcome(ctx context.Context, raw net.Conn) {
	defer l.halfOpen.Remove(raw)
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
	l.halfOpen.Remove(raw)
	l.serve(ctx, s)
}

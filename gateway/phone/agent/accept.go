package agent

import (
	"context"
	"net"
	"sync"
	"time"

	"tapward/gateway/phone/link"
)

const (
	maxHalfOpen      = 8
	handshakeTimeout = 5 * time.Second
)

// accept takes the links that boxes open.
func (a *Agent) accept(ctx context.Context) error {
	var links sync.WaitGroup
	defer links.Wait()
	open := &link.HalfOpen{Most: maxHalfOpen}
	return open.Accept(ctx, a.cfg.Listen, a.cfg.Log, func(raw net.Conn) {
		links.Go(func() { a.answer(ctx, raw, open) })
	})
}

// answer authenticates who connected and serves the link.
func (a *Agent) answer(ctx context.Context, raw net.Conn, open *link.HalfOpen) {
	address := raw.RemoteAddr().String()
	shaking, cancel := context.WithTimeout(ctx, handshakeTimeout)
	conn, err := link.Server(shaking, raw, a.cfg.Identity, a.trust.knows)
	cancel()
	open.Remove(raw)
	if err == nil {
		err = a.serve(ctx, conn)
	}
	if ctx.Err() == nil {
		a.cfg.Log.Info("link ended", "phone", a.cfg.Phone, "address", address, "dialled", false, "why", err)
	}
}

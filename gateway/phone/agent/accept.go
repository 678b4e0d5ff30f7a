package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"tapward/gateway/phone/link"
)

const (
	maxHalfOpen      = 8
	handshakeTimeout = 5 * time.Second
	acceptAgain      = time.Second
)

// accept takes the links that boxes open.
func (a *Agent) accept(ctx context.Context) error {
	defer a.cfg.Listen.Close()
	defer context.AfterFunc(ctx, func() { a.cfg.Listen.Close() })()
	var links sync.WaitGroup
	defer links.Wait()
	var open halfOpen
	for {
		raw, err := a.cfg.Listen.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				raw.Close()
			}
			return ctx.Err()
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept links: %w", err)
		case err != nil:
			a.cfg.Log.Warn("accept links", "err", err)
			pause(ctx, acceptAgain)
		default:
			open.add(raw)
			links.Go(func() { a.answer(ctx, raw, &open) })
		}
	}
}

// answer authenticates who connected and serves the link.
func (a *Agent) answer(ctx context.Context, raw net.Conn, open *halfOpen) {
	address := raw.RemoteAddr().String()
	shaking, cancel := context.WithTimeout(ctx, handshakeTimeout)
	conn, err := link.Server(shaking, raw, a.cfg.Identity, a.trust.knows)
	cancel()
	open.remove(raw)
	if err == nil {
		err = a.serve(ctx, conn)
	}
	if ctx.Err() == nil {
		a.cfg.Log.Info("link ended", "phone", a.cfg.Phone, "address", address, "dialled", false, "why", err)
	}
}

// halfOpen bounds the connections that have proven nothing yet: the oldest gives way to a new one, so that idle
// strangers keep nobody out.
type halfOpen struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (h *halfOpen) add(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.conns) == maxHalfOpen {
		h.conns[0].Close()
		h.conns = slices.Delete(h.conns, 0, 1)
	}
	h.conns = append(h.conns, c)
}

func (h *halfOpen) remove(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = slices.DeleteFunc(h.conns, func(other net.Conn) bool { return other == c })
}

package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// HalfOpen holds accepted connections that have proven nothing yet, oldest first. When there are Most of them the oldest
// is closed for the newest: a real peer is through in a few milliseconds, so whoever waits longest is not one, and
// connections that say nothing cannot lock others out.
type HalfOpen struct {
	Most int

	mu    sync.Mutex
	conns []net.Conn
}

// Accept takes connections until ctx ends (its error) or the listener fails for good, and closes the listener. Each is
// half open until it is removed; serve must not wait.
func (h *HalfOpen) Accept(ctx context.Context, listen net.Listener, log *slog.Logger, serve func(raw net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { listen.Close() })
	defer stop()
	defer listen.Close()
	var pause time.Duration
	for {
		raw, err := listen.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				raw.Close()
			}
			return ctx.Err()
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept links: %w", err)
		case err != nil: // out of files, or a connection that died in the queue: both pass
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			log.Warn("accept links: waiting before the next try", "err", err, "wait", pause)
			if !wait(ctx, pause) {
				return ctx.Err()
			}
			continue
		}
		pause = 0
		h.add(raw)
		serve(raw)
	}
}

func (h *HalfOpen) add(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.conns) == h.Most {
		h.conns[0].Close()
		h.conns = slices.Delete(h.conns, 0, 1)
	}
	h.conns = append(h.conns, c)
}

// Remove is called once a connection is through or closed; it may have been pushed out before, and may be called again.
func (h *HalfOpen) Remove(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.conns, c); i >= 0 {
		h.conns = slices.Delete(h.conns, i, i+1)
	}
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

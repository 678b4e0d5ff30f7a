package link

import (
	"net"
	"slices"
	"sync"
)

// maxHalfOpen bounds the accepted connections that have not brought a valid hello yet.
const maxHalfOpen = 256

// halfOpen holds those connections, oldest first. When it is full the oldest is closed for the newest: a real phone is
// through in a few milliseconds, so whoever waits longest is not one, and connections that say nothing cannot lock
// phones out.
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

// remove is called once a connection is through or closed; it may have been pushed out before.
func (h *halfOpen) remove(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.conns, c); i >= 0 {
		h.conns = slices.Delete(h.conns, i, i+1)
	}
}

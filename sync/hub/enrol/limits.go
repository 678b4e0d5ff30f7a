package enrol

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often one address, and everybody together, may ask. A box asks every two seconds while it waits.
const (
	perAddress      = 20 // a second
	burstAddress    = 100
	perHub          = 400
	burstHub        = 2000
	perNotices      = 1 // recorded refusals of newcomers, a second: strangers must not fill the audit
	burstNotices    = 100
	maxAddresses    = 4096
	forgetAddresses = time.Minute // without a request
)

// limits bounds how often each address asks. Boxes behind one router share its bucket; a refusal makes them wait longer.
type limits struct {
	all     *rate.Limiter
	notices *rate.Limiter

	mu    sync.Mutex
	known map[netip.Prefix]*visitor
}

type visitor struct {
	*rate.Limiter
	last time.Time
}

func newLimits() *limits {
	return &limits{all: rate.NewLimiter(perHub, burstHub), notices: rate.NewLimiter(perNotices, burstNotices), known: map[netip.Prefix]*visitor{}}
}

// allow takes one request of an address, host:port.
func (l *limits) allow(remote string, now time.Time) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	return l.of(network(addr), now).AllowN(now, 1) && l.all.AllowN(now, 1)
}

// network is whoever may be taken for one: of IPv6, everybody has a /64.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the length fits
	return p
}

func (l *limits) of(from netip.Prefix, now time.Time) *visitor {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.known[from]
	if v == nil {
		if len(l.known) >= maxAddresses {
			l.forget(now)
		}
		v = &visitor{Limiter: rate.NewLimiter(perAddress, burstAddress)}
		l.known[from] = v
	}
	v.last = now
	return v
}

// forget makes room: of those who have not asked for a while, and if there are none, of all.
func (l *limits) forget(now time.Time) {
	for from, v := range l.known {
		if now.Sub(v.last) > forgetAddresses {
			delete(l.known, from)
		}
	}
	if len(l.known) >= maxAddresses {
		clear(l.known)
	}
}

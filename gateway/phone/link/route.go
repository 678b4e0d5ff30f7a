package link

import (
	"math/rand/v2"
	"slices"
	"time"
)

// maxSighted bounds the addresses kept of one phone beside the configured ones; adverts can be forged without end.
const maxSighted = 8

const (
	redialMin = 500 * time.Millisecond
	redialMax = time.Minute
	resighted = time.Second // an address that is advertised again is tried at the latest after this
)

// route is an address where a phone may be. What fails there counts against the address, never against the phone.
type route struct {
	addr       string
	configured bool
	good       bool // the phone proved itself there
	dialling   bool
	failed     int // in a row
	due        time.Time
}

// routes are all of one phone's, in no order.
type routes []*route

func (rs routes) find(addr string) *route {
	for _, r := range rs {
		if r.addr == addr {
			return r
		}
	}
	return nil
}

// configure makes addrs the configured ones; those found by sighting stay.
func (rs *routes) configure(addrs []string) {
	for _, r := range *rs {
		r.configured = false
	}
	for _, addr := range addrs {
		r := rs.find(addr)
		if r == nil {
			r = &route{addr: addr}
			*rs = append(*rs, r)
		}
		r.configured = true
	}
}

// sight adds an advertised address, in the place of the one that failed most where there are too many. An address is
// never pushed out untried, so a flood of forged ones goes no faster than they can be dialled.
func (rs *routes) sight(addr string, now time.Time) {
	if r := rs.find(addr); r != nil {
		if soon := now.Add(jitter(resighted)); r.due.After(soon) {
			r.due = soon
		}
		return
	}
	if rs.sighted() >= maxSighted && !rs.drop() {
		return
	}
	*rs = append(*rs, &route{addr: addr})
}

func (rs routes) sighted() (n int) {
	for _, r := range rs {
		if !r.configured {
			n++
		}
	}
	return n
}

func (rs *routes) drop() bool {
	worst := -1
	for i, r := range *rs {
		if r.configured || r.good || r.dialling || r.failed == 0 {
			continue
		}
		if worst < 0 || r.failed > (*rs)[worst].failed {
			worst = i
		}
	}
	if worst < 0 {
		return false
	}
	*rs = slices.Delete(*rs, worst, worst+1)
	return true
}

// next is the route to dial first among those due: proven, then configured, then failed least.
func (rs routes) next(now time.Time) *route {
	var best *route
	for _, r := range rs {
		if !r.dialling && !r.due.After(now) && (best == nil || r.before(best)) {
			best = r
		}
	}
	return best
}

func (r *route) before(other *route) bool {
	switch {
	case r.good != other.good:
		return r.good
	case r.configured != other.configured:
		return r.configured
	case r.failed != other.failed:
		return r.failed < other.failed
	}
	return r.due.Before(other.due)
}

// earliest is when the next route is due, zero where none is waiting.
func (rs routes) earliest() (at time.Time) {
	for _, r := range rs {
		if !r.dialling && (at.IsZero() || r.due.Before(at)) {
			at = r.due
		}
	}
	return at
}

func (rs routes) dialling() (n int) {
	for _, r := range rs {
		if r.dialling {
			n++
		}
	}
	return n
}

// retry sets when a route is tried again, later with every failure.
func (r *route) retry(failed bool, now time.Time) {
	if !failed {
		r.failed = 0
		r.due = now.Add(jitter(redialMin))
		return
	}
	r.failed++
	r.good = false
	r.due = now.Add(jitter(min(redialMin<<min(r.failed, 10), redialMax)))
}

// unlinked makes proven and configured routes due soon: the phone was just there.
func (rs routes) unlinked(now time.Time) {
	for _, r := range rs {
		if soon := now.Add(jitter(redialMin)); (r.good || r.configured) && r.due.After(soon) {
			r.due = soon
		}
	}
}

// jitter spreads d over 0.75 d to 1.25 d, so that a ward's phones do not move in step.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2)
}

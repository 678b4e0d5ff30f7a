package mdns

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// Bounds on what is passed on, whatever is sent to us. The same proposal is passed on once in repeatAfter; a new one
// costs a token of its name, and one of all strangers unless the name or the key is known.
const (
	maxAddrs    = 8
	maxNames    = 1024
	repeatAfter = 10 * time.Second

	nameBurst, namePerSecond         = 16, 1
	strangerBurst, strangerPerSecond = 256, 32
)

// filter turns claims into sightings. It belongs to one goroutine.
type filter struct {
	ports     Ports
	known     func(string, gateway.Fingerprint) bool
	names     map[string]*history
	strangers bucket
}

// history is what was lately passed on under a name.
type history struct {
	budget bucket
	last   time.Time
	recent []proposal
}

type proposal struct {
	key   gateway.Fingerprint
	addrs []netip.AddrPort
	at    time.Time
}

func newFilter(ports Ports, known func(string, gateway.Fingerprint) bool) *filter {
	if ports == (Ports{}) {
		ports = Ports{Min: 1024, Max: 65535}
	}
	if known == nil {
		known = func(string, gateway.Fingerprint) bool { return false }
	}
	return &filter{ports: ports, known: known, names: make(map[string]*history)}
}

var (
	errName    = errors.New("name: want 1 to 32 letters, digits, - and _")
	errPort    = errors.New("port outside the range")
	errAddress = errors.New("no address in a subnet of ours")
	errAgain   = errors.New("the same again")
	errFlood   = errors.New("too many")
)

// admit makes a sighting of a claim that keeps the bounds, or says why there is none.
func (f *filter) admit(c claim, n network, now time.Time) (phone.Sighting, error) {
	txt, err := ParseTXT(c.text)
	if err != nil {
		return phone.Sighting{}, err
	}
	name := txt.ID
	if name == "" {
		name = c.instance
	}
	if !gateway.ValidLabel(name) {
		return phone.Sighting{}, errName
	}
	if c.port < int(f.ports.Min) || c.port > int(f.ports.Max) {
		return phone.Sighting{}, errPort
	}
	addrs := reachable(c, n)
	if len(addrs) == 0 {
		return phone.Sighting{}, errAddress
	}
	if err := f.spend(name, proposal{txt.Key, addrs, now}); err != nil {
		return phone.Sighting{}, err
	}
	return phone.Sighting{At: now, Name: name, Key: txt.Key, Addrs: addrs}, nil
}

// reachable are the first addresses of c that lie in our subnets; loopback is there only where it was chosen. A
// link-local one is good for nothing without its interface.
func reachable(c claim, n network) []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, a := range c.addrs {
		if !n.local(c.iface, a) {
			continue
		}
		if a.Is6() && a.IsLinkLocalUnicast() {
			if a = a.WithZone(n.zone(c.iface)); a.Zone() == "" {
				continue
			}
		}
		if ap := netip.AddrPortFrom(a, uint16(c.port)); !slices.Contains(addrs, ap) {
			addrs = append(addrs, ap)
		}
		if len(addrs) == maxAddrs {
			break
		}
	}
	return addrs
}

// spend pays for a proposal and remembers it.
func (f *filter) spend(name string, p proposal) error {
	h := f.names[name]
	if h != nil && h.holds(p) {
		return errAgain
	}
	if !f.known(name, p.key) && !f.strangers.take(p.at, strangerBurst, strangerPerSecond) {
		return errFlood
	}
	if h == nil {
		h = new(history)
		f.names[name] = h
		f.forgetOldest()
	}
	h.last = p.at
	if !h.budget.take(p.at, nameBurst, namePerSecond) {
		return errFlood
	}
	if len(h.recent) == nameBurst {
		h.recent = slices.Delete(h.recent, 0, 1)
	}
	h.recent = append(h.recent, p)
	return nil
}

// retell lets everything be passed on again: links over the old network are gone.
func (f *filter) retell() {
	for _, h := range f.names {
		h.recent = nil
	}
}

func (f *filter) forgetOldest() {
	if len(f.names) <= maxNames {
		return
	}
	oldest, since := "", time.Time{}
	for name, h := range f.names {
		if !h.last.IsZero() && (oldest == "" || h.last.Before(since)) {
			oldest, since = name, h.last
		}
	}
	delete(f.names, oldest)
}

func (h *history) holds(p proposal) bool {
	return slices.ContainsFunc(h.recent, func(q proposal) bool {
		return q.key == p.key && p.at.Sub(q.at) < repeatAfter && slices.Equal(q.addrs, p.addrs)
	})
}

// bucket is a token bucket; the zero one is full.
type bucket struct {
	spent float64
	at    time.Time
}

func (b *bucket) take(now time.Time, burst, perSecond float64) bool {
	b.spent = max(0, b.spent-perSecond*now.Sub(b.at).Seconds())
	b.at = now
	if b.spent+1 > burst {
		return false
	}
	b.spent++
	return true
}

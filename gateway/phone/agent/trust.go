package agent

import (
	"slices"
	"sync"

	"tapward/gateway"
)

// Box is a ward box this phone trusts: it may open sessions here. Its fingerprint was compared on both screens.
type Box struct {
	ID    gateway.BoxID       `toml:"id" json:"id"`
	Key   gateway.Fingerprint `toml:"key" json:"key"`
	Addrs []string            `toml:"addrs,omitempty" json:"addrs,omitempty"` // host:port to dial; empty: the box dials, or is found
}

// maxFound is how many found addresses are kept for a box.
const maxFound = 4

// trust is the set of boxes, read in handshakes and dialled from.
type trust struct {
	mu    sync.Mutex
	boxes []Box
	found map[gateway.Fingerprint][]string // newest first
}

func (t *trust) set(boxes []Box) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.boxes = slices.Clone(boxes)
}

func (t *trust) by(key gateway.Fingerprint) (Box, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.boxes, func(b Box) bool { return b.Key == key })
	if i < 0 {
		return Box{}, false
	}
	return t.boxes[i], true
}

func (t *trust) knows(key gateway.Fingerprint) bool {
	_, ok := t.by(key)
	return ok
}

// propose notes where a box may be found. Only the key it proves there makes it that box.
func (t *trust) propose(key gateway.Fingerprint, addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.ContainsFunc(t.boxes, func(b Box) bool { return b.Key == key }) {
		return
	}
	if t.found == nil {
		t.found = map[gateway.Fingerprint][]string{}
	}
	rest := slices.DeleteFunc(t.found[key], func(a string) bool { return a == addr })
	t.found[key] = append([]string{addr}, rest[:min(len(rest), maxFound-1)]...)
}

// targets is every box with the addresses to try, configured ones first.
func (t *trust) targets() []Box {
	t.mu.Lock()
	defer t.mu.Unlock()
	targets := slices.Clone(t.boxes)
	for i, b := range targets {
		targets[i].Addrs = append(slices.Clone(b.Addrs), t.found[b.Key]...)
	}
	return targets
}

package session

import (
	"slices"

	"tapward/gateway"
)

// withdrawn ends what a phone shows, offers the next to whoever it is being opened for, and sends away who waits for it to
// be cleared. That nobody taps for it again is the engine's to see to; a phone that another ward's box has is that box's
// to end.
func (t *turn) withdrawn(id gateway.PhoneID, reason gateway.Reason) {
	for i := range t.Phones {
		if p := &t.Phones[i]; p.For != nil && slices.Contains(p.For.Candidates, id) {
			req := *p.For
			req.Candidates = slices.DeleteFunc(slices.Clone(req.Candidates), func(c gateway.PhoneID) bool { return c == id })
			p.For = &req
		}
	}
	p := t.phone(id)
	if p == nil {
		return
	}
	switch p.Phase {
	case Binding:
		t.bindFailed(p, reason, "")
	case Bound:
		t.end(p, reason)
	case Releasing:
		if req := p.For; req != nil {
			t.fail(req, reason)
			p.leave()
		}
	}
}

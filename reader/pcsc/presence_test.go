package pcsc

import (
	"testing"
	"time"

	"github.com/ebfe/scard"
)

func TestPresence(t *testing.T) {
	const (
		card  = scard.StatePresent
		empty = scard.StateEmpty
		gone  = scard.StateUnknown | scard.StateUnavailable
	)
	at := func(counter int, f scard.StateFlag) scard.StateFlag {
		return f | scard.StateFlag(counter)<<16 | scard.StateChanged
	}
	type step struct {
		reported  scard.StateFlag
		presented bool
	}
	for what, steps := range map[string][]step{
		"empty, then a badge":                        {{at(0, empty), false}, {at(1, card), true}},
		"lying there at start, then taken away":      {{at(1, card), false}, {at(2, empty), false}, {at(3, card), true}},
		"in use by another program":                  {{at(0, empty), false}, {at(1, card), true}, {at(1, card|scard.StateInuse), false}},
		"removed and tapped again between two waits": {{at(0, empty), false}, {at(1, card), true}, {at(3, card), true}},
		"tapped and removed between two waits":       {{at(0, empty), false}, {at(2, empty), false}, {at(3, card), true}},
		"tap, removal, tap between two waits":        {{at(0, empty), false}, {at(3, card), true}},
		"no counter: the first tap after a start":    {{at(0, empty), false}, {at(0, card), true}},
		"the counter wraps":                          {{at(0xFFFF, empty), false}, {at(0, card), true}},
		"the reader was opened anew with a card":     {{at(8, empty), false}, {at(1, card), false}, {at(2, empty), false}, {at(3, card), true}},
		"gone and back with a card":                  {{at(0, empty), false}, {gone, false}, {at(1, card), false}, {at(3, card), true}},
		"nothing known at first":                     {{0, false}, {at(0, empty), false}, {at(1, card), true}},
		"mute card":                                  {{at(0, empty), false}, {at(1, card|scard.StateMute), true}},
	} {
		p := presence{settling: settling}
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for i, s := range steps {
			if got := p.observe(s.reported, now); got != s.presented {
				t.Errorf("%s: step %d: presented %v, want %v", what, i, got, s.presented)
			}
			if p.state != s.reported&^scard.StateChanged {
				t.Errorf("%s: step %d: %08X would be fed back, want %08X without CHANGED", what, i, p.state, s.reported)
			}
			now = now.Add(settling)
		}
	}
}

// A badge on a reader that is just coming up may be found a moment later: it was not presented either.
func TestPresenceSettles(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := presence{settling: settling}
	p.observe(scard.StateEmpty, now)
	if p.ready(now.Add(settling - 1)) {
		t.Error("ready before it has settled")
	}
	if p.observe(scard.StatePresent|1<<16, now.Add(settling-1)) {
		t.Error("a badge found while the reader came up counts as presented")
	}
	if !p.ready(now.Add(settling)) {
		t.Error("not ready after it has settled")
	}
	p.observe(scard.StateEmpty|2<<16, now.Add(settling))
	if !p.observe(scard.StatePresent|3<<16, now.Add(settling)) {
		t.Error("the next badge does not count")
	}
}

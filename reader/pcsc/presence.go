package pcsc

import (
	"time"

	"github.com/ebfe/scard"
)

// settling is how long a reader that has come up is given to find the badge that lies on it already. It is longer than
// the interval at which readers and drivers look for a card (up to 500 ms).
const settling = 600 * time.Millisecond

const (
	stateGone = scard.StateUnknown | scard.StateUnavailable | scard.StateIgnore
	stateCard = scard.StatePresent | scard.StateEmpty
)

// presence follows one reader through the states that GetStatusChange reports. Times are passed in.
type presence struct {
	settling time.Duration // how long insertions are no badges after the reader was first heard of

	state   scard.StateFlag // to be fed back: with it, a change that nobody was waiting for is told at the next wait
	known   bool            // whether a card lies there was heard
	settled time.Time       // once known: from when on an insertion is a badge presented
}

// observe takes what was reported and says whether a badge was presented.
func (p *presence) observe(reported scard.StateFlag, at time.Time) (presented bool) {
	before, now := p.state, reported&^scard.StateChanged
	p.state = now
	switch {
	case now&stateGone != 0:
		p.known = false
		return false
	case now&stateCard == 0:
		return false
	case !p.known, changes(before, now) < 0:
		p.known, p.settled = true, at.Add(p.settling)
		return false
	}
	inserted := now&scard.StatePresent != 0 && (before&scard.StatePresent == 0 || changes(before, now) > 0)
	return inserted && !at.Before(p.settled)
}

// ready says that the reader has come up.
func (p *presence) ready(at time.Time) bool { return p.known && !at.Before(p.settled) }

// changes is by how much the daemon's counter of insertions and removals, the upper half of a state, went on. It wraps;
// one that went back belongs to a reader that was opened anew.
func changes(before, now scard.StateFlag) int {
	return int(int16(uint16(now>>16) - uint16(before>>16)))
}

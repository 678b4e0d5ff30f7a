package reader

import (
	"slices"
	"time"

	"tapward/gateway"
)

// How long a badge must be away before it counts as presented again.
const (
	Window  = 2 * time.Second        // after its tap, at a reader that tells of a badge once per presentation
	Silence = 500 * time.Millisecond // after its last reading, at a reader that repeats itself while a badge is there
)

// remembered bounds the badges a Debounce keeps apart; with more inside one span the oldest is forgotten, which can
// only let a repeat through.
const remembered = 64

// Debounce tells presentations from repeated readings of the same badge. Another badge, or the same one at another
// reader, is never held back. The zero value lets every reading through. Times are passed in, in any order of clocks
// that time.Time can compare; it is not safe for concurrent use.
type Debounce struct {
	span      time.Duration
	repeating bool
	since     time.Time
	seen      []reading // oldest first
}

type reading struct {
	reader     gateway.ReaderID
	credential gateway.Credential
	at         time.Time
}

// Once is for readers that tell of a badge when it comes: repeats within span after a tap are ignored, however many.
func Once(span time.Duration) Debounce { return Debounce{span: span} }

// Repeating is for readers that repeat themselves while a badge is there: it counts anew after a silence of span. A
// badge already heard within span after since, when listening began, was lying there and counts only after that too.
func Repeating(span time.Duration, since time.Time) Debounce {
	return Debounce{span: span, repeating: true, since: since}
}

// Admit says whether a reading is a new presentation.
func (d *Debounce) Admit(reader gateway.ReaderID, c gateway.Credential, at time.Time) bool {
	d.seen = slices.DeleteFunc(d.seen, func(r reading) bool { return !d.within(r.at, at) })
	i := slices.IndexFunc(d.seen, func(r reading) bool { return r.reader == reader && r.credential.Equal(c) })
	if i >= 0 && !d.repeating {
		return false
	}
	if i >= 0 {
		d.seen = slices.Delete(d.seen, i, i+1)
	} else if len(d.seen) == remembered {
		d.seen = slices.Delete(d.seen, 0, 1)
	}
	d.seen = append(d.seen, reading{reader, c, at})
	return i < 0 && !(d.repeating && d.within(d.since, at))
}

// within says that at lies in the span after start. A clock that went back is no repeat.
func (d *Debounce) within(start, at time.Time) bool {
	gap := at.Sub(start)
	return gap >= 0 && gap < d.span
}

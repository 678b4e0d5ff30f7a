package gateway

import "time"

// ReaderID names a reader by its place ("door", "dock-3"), as configured; never by a USB index that moves.
type ReaderID string

// Origin says what kind of reader a tap came from; OriginSim exists only in builds with the demo tag.
type Origin string

const (
	OriginPCSC   Origin = "pcsc"
	OriginSerial Origin = "serial"
	OriginSim    Origin = "sim"
)

// Tap is one presentation of a badge at a reader, stamped where it happened.
type Tap struct {
	Reader     ReaderID
	Origin     Origin
	Credential Credential
	Assurance  Assurance
	At         time.Time     // when the reader reported the badge
	Read       time.Duration // how long reading the card took after that
}

// ReaderState is the health of a reader as people see it.
type ReaderState uint8

const (
	ReaderDown     ReaderState = iota // unplugged, or its daemon is gone
	ReaderUp                          // ready for a badge
	ReaderDegraded                    // answers, but late or with errors
)

var readerStates = [...]string{"down", "up", "degraded"}

func (s ReaderState) String() string               { return name(readerStates[:], int(s)) }
func (s ReaderState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s *ReaderState) UnmarshalText(text []byte) error {
	return parse(readerStates[:], "reader state", text, s)
}

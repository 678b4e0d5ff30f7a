// Package readertest is the exam that every reader.Source sits, and an in-memory reader that sits it too. Only tests
// import it.
package readertest

import (
	"log/slog"
	"testing"

	"tapward/gateway"
	"tapward/reader"
)

// Stage is one source with the equipment it drives, as an adapter brings it to the exam. Every part of the exam gets a
// fresh one; what it starts it ends by t.Cleanup.
type Stage struct {
	Source    reader.Source
	Equipment Equipment
	Reader    gateway.ReaderID       // one of Source.Readers(): the one at which Equipment acts
	Origin    gateway.Origin         // of its taps
	Kind      gateway.CredentialKind // of its credentials
	Badges    [3][]byte              // three different numbers, as credentials hold them, at least four bytes each
	Feedback  bool                   // it has a light or buzzer; Signal must then succeed at a reader that is up
}

// Equipment is the world in front of a source, played by a test. Its methods return when the act is done on the
// equipment's side, not when the source has noticed. They are called one at a time, while Run runs and while it does
// not, and fail the test themselves. The equipment starts plugged in, with no badge on it.
type Equipment interface {
	// Present lays a badge on the reader and leaves it there.
	Present(badge []byte)
	// Remove takes the badge away, for so long that the same badge counts anew when it is presented again: a stage
	// whose source holds repeats back waits, or gives the source a shorter span.
	Remove()
	// Babble makes the equipment say something that is no badge: noise, half a frame, a card that cannot be read.
	Babble()
	// Unplug takes the equipment, or just Stage.Reader, away; no badge lies there.
	Unplug()
	// Replug brings it back, with nothing lying there.
	Replug()
}

// SetUp builds a stage. The source logs to log and nowhere else, at every level, so that the exam can read it all.
type SetUp func(t *testing.T, log *slog.Logger) *Stage

// Run sits the exam on equipment that lives in real time: sockets, terminals, daemons. Nothing in it waits for a time
// to pass; each part ends when what it waits for has happened, and fails after patience.
func Run(t *testing.T, setUp SetUp) {
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) { sit(t, setUp, part.run) })
	}
}

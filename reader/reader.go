// Package reader is the contract that every badge reader keeps, and what all of them share: debounce and supervision.
//
// A Source drives one piece of equipment (the PC/SC daemon with its readers, one serial port) and turns badges into
// taps. It knows nothing of people, phones or policy.
package reader

import (
	"context"
	"errors"

	"tapward/gateway"
)

// Source is a piece of equipment with one or more readers.
type Source interface {
	// Readers are the ids this source may send, fixed for its life.
	Readers() []gateway.ReaderID

	// Run opens the equipment and sends events until ctx ends or the equipment fails, and returns only when every
	// goroutine of it has ended and the equipment is released, so that Run may be called again. It returns ctx's
	// error after ctx ended and the equipment's error otherwise; being unplugged is an ordinary error.
	//
	// A badge makes one Tap per presentation, in the order presented; a badge that lies there when Run starts makes
	// none until it was taken away. A reader's state is sent when it first comes up and whenever it changes. Sends
	// block: whoever calls Run reads out until it returns.
	Run(ctx context.Context, out chan<- Event) error

	// Signal shows feedback at a reader as far as it can, within ctx. ErrNoFeedback says that the reader cannot, and
	// is ordinary. It may be called at any time, from any goroutine, also while Run is not running.
	Signal(ctx context.Context, f gateway.Feedback) error
}

// ErrNoFeedback is what Signal returns for a reader without light or buzzer.
var ErrNoFeedback = errors.New("reader has no light or buzzer")

// Event is a Tap or a Status.
type Event interface{ event() }

// Tap is a badge presented.
type Tap struct{ gateway.Tap }

// Status is a reader's new state; Note says in words what is wrong and what to do, without any number of a badge.
type Status struct {
	Reader gateway.ReaderID
	State  gateway.ReaderState
	Reason gateway.Reason
	Note   string
}

func (Tap) event()    {}
func (Status) event() {}

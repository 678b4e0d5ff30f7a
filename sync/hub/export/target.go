package export

import (
	"context"
	"time"
)

// Target is a receiver. One goroutine uses it at a time. One that is an io.Closer is closed when its feed ends. One that has
// a Check() error is asked by New whether it is set up rightly.
type Target interface {
	// Deliver hands records over, in order. The answers are for the first len(answers) of them and final; err says why
	// there are not more, and is nil where all have one. What has no answer comes again, also where the receiver has it
	// already and only its answer was lost.
	Deliver(ctx context.Context, records []Record) (answers []Answer, err error)
	// Confirms says that an answer means that the receiver has the record. Where it does not, nobody knows.
	Confirms() bool
}

// Answer is what a receiver said about one record.
type Answer struct {
	Refused string // its words; empty: it took the record
}

// Busy is the error of a receiver that names the time when it wants to be asked again.
type Busy struct {
	After time.Duration
	Err   error
}

func (b *Busy) Error() string { return b.Err.Error() }
func (b *Busy) Unwrap() error { return b.Err }

// Format writes records as text or JSON, one after the other.
type Format interface {
	// Begin is what stands before the first record; often nothing.
	Begin() []byte
	// Append adds one record, with all that separates it from the next.
	Append(to []byte, r Record) ([]byte, error)
}

package audit

import (
	"fmt"
	"iter"
	"time"

	"tapward/gateway"
)

// Filter chooses records by what every leaf holds in the open; what is empty matches all.
type Filter struct {
	Phone  gateway.PhoneID
	Reader gateway.ReaderID
	Kind   gateway.RecordKind
	Since  time.Time // wall time of the commit; the log's order is by index, and a clock may have been set back
}

// Matches reads the leaf and not its openings.
func (f Filter) Matches(l Leaf) bool {
	r := l.Entry.Record
	return (f.Phone == "" || r.Phone == f.Phone) && (f.Reader == "" || r.Reader == f.Reader) &&
		(f.Kind == "" || r.Kind == f.Kind) && (f.Since.IsZero() || !l.Entry.At.Before(f.Since))
}

// Revealed is a record as people read it.
type Revealed struct {
	Leaf              // with the names that were not erased
	Forgotten []Field // erased
}

// Reveal decodes a record and puts its openings in place. An error says which record is not as it was written.
func (s Sealed) Reveal() (Revealed, error) {
	leaf, err := Decode(s.Leaf)
	if err != nil {
		return Revealed{}, fmt.Errorf("record %d: %w; verify the log", s.Index, err)
	}
	leaf, forgotten, err := leaf.Reveal(s.Openings)
	if err != nil {
		return Revealed{}, fmt.Errorf("record %d of epoch %d: %w; verify the log", s.Index, leaf.Epoch, err)
	}
	return Revealed{leaf, forgotten}, nil
}

// Take reveals the first of some records, at most so many.
func Take(records iter.Seq2[Sealed, error], most int) ([]Revealed, error) {
	var taken []Revealed
	for record, err := range records {
		if err != nil {
			return taken, err
		}
		revealed, err := record.Reveal()
		if err != nil {
			return taken, err
		}
		if taken = append(taken, revealed); len(taken) >= most {
			break
		}
	}
	return taken, nil
}

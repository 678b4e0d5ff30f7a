package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// Filter chooses records; what is empty matches all.
type Filter struct {
	Phone  gateway.PhoneID
	Reader gateway.ReaderID
	Kind   gateway.RecordKind
	Since  time.Time // wall time of the commit; the log's order is by index, and a clock may have been set back
}

func (f Filter) matches(e audit.Entry) bool {
	r := e.Record
	return (f.Phone == "" || r.Phone == f.Phone) && (f.Reader == "" || r.Reader == f.Reader) &&
		(f.Kind == "" || r.Kind == f.Kind) && (f.Since.IsZero() || !e.At.Before(f.Since))
}

// Listed is a record as people read it.
type Listed struct {
	audit.Leaf               // with the names that were not erased
	Forgotten  []audit.Field // erased
}

// listBatch is how many leaves are read at a time.
const listBatch = 512

// Newest lists at most limit matching records, newest first. It decodes its way back from the end, so that the log needs
// no second index that could disagree with it.
func (l Log) Newest(ctx context.Context, f Filter, limit int) ([]Listed, error) {
	var listed []Listed
	for before := int64(math.MaxInt64); len(listed) < limit; {
		records, ids, err := l.backwards(ctx, before, listBatch)
		if err != nil || len(records) == 0 {
			return listed, err
		}
		before = ids[len(ids)-1]
		for _, r := range records {
			one, err := list(r)
			if err != nil {
				return listed, err
			}
			if f.matches(one.Entry) && len(listed) < limit {
				listed = append(listed, one)
			}
		}
	}
	return listed, nil
}

func list(r audit.Stored) (Listed, error) {
	leaf, err := audit.Decode(r.Leaf)
	if err != nil {
		return Listed{}, fmt.Errorf("record %d: %w; verify the log", r.Index, err)
	}
	leaf, forgotten, err := leaf.Reveal(r.Openings)
	if err != nil {
		return Listed{}, fmt.Errorf("record %d of epoch %d: %w; verify the log", r.Index, leaf.Epoch, err)
	}
	return Listed{Leaf: leaf, Forgotten: forgotten}, nil
}

package store

import (
	"context"
	"fmt"
	"iter"
	"math"

	"tapward/gateway/audit"
)

// listBatch is how many leaves are read at a time.
const listBatch = 512

// Backwards gives the records that match, newest first, over all epochs. It decodes its way back from the end, so that
// the log needs no second index that could disagree with it. An error ends it.
func (l Log) Backwards(ctx context.Context, f audit.Filter) iter.Seq2[audit.Sealed, error] {
	return func(yield func(audit.Sealed, error) bool) {
		for before := int64(math.MaxInt64); ; {
			records, ids, err := l.before(ctx, before, listBatch)
			if err != nil {
				yield(audit.Sealed{}, err)
				return
			}
			if len(records) == 0 {
				return
			}
			before = ids[len(ids)-1]
			for _, r := range records {
				leaf, err := audit.Decode(r.Leaf)
				if err != nil {
					yield(r.Sealed, fmt.Errorf("record %d: %w; verify the log", r.Index, err))
					return
				}
				if f.Matches(leaf) && !yield(r.Sealed, nil) {
					return
				}
			}
		}
	}
}

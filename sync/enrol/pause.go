package enrol

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is how long to wait after each failure in a row: doubling from first to most, with up to half of it left to
// chance, so that boxes that failed together come back apart.
type backoff struct {
	first, most time.Duration
	next        time.Duration
}

func (b *backoff) wait() time.Duration {
	b.next = min(max(2*b.next, b.first), b.most)
	return b.next - rand.N(b.next/2+1)
}

func (b *backoff) reset() { b.next = 0 }

// pause waits, or says that ctx has ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

package archive

import (
	"context"
	"fmt"
	"time"
)

// Retention says how long what may go is kept, counted from when it was archived. Months go as a whole, when their last
// day lies that far back. Zero: for ever. The tree is always kept for ever.
type Retention struct {
	Bodies   time.Duration // the records themselves
	Openings time.Duration // what names people in them; never longer than the records
}

// Swept is what a retention took.
type Swept struct {
	Bodies, Openings int // months
}

// Sweep takes what the retention no longer keeps at a time, and makes room for that month and the next.
func (a *Archive) Sweep(ctx context.Context, now time.Time) (Swept, error) {
	for _, m := range []month{monthOf(now), monthOf(now).next()} {
		if err := a.engine.prepare(ctx, m); err != nil {
			return Swept{}, fmt.Errorf("sweep the archive: %w", err)
		}
	}
	var swept Swept
	for _, t := range []struct {
		table string
		keep  time.Duration
		took  *int
	}{
		{"opening", shorter(a.keep.Openings, a.keep.Bodies), &swept.Openings},
		{"body", a.keep.Bodies, &swept.Bodies},
	} {
		if t.keep <= 0 {
			continue
		}
		months, err := a.engine.expire(ctx, t.table, monthOf(now.Add(-t.keep)))
		if err != nil {
			return swept, fmt.Errorf("sweep the archive: %w", err)
		}
		*t.took = months
	}
	if err := a.dropEvidence(ctx, now); err != nil {
		return swept, fmt.Errorf("sweep the archive: %w", err)
	}
	return swept, nil
}

// shorter is the shorter of two times to keep, of which zero is the longest.
func shorter(a, b time.Duration) time.Duration {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

// sweepEvery is often enough for months.
const sweepEvery = 6 * time.Hour

// Run sweeps at once and then again and again, until ctx ends. A sweep that fails is logged and tried at the next time.
func (a *Archive) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		swept, err := a.Sweep(ctx, time.Now())
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			a.log.Error("Could not sweep the archive; what its retention no longer keeps is still there", "error", err)
		case swept != Swept{}:
			a.log.Info("Swept the archive", "months_of_records", swept.Bodies, "months_of_openings", swept.Openings)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

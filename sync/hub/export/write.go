package export

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"
)

// slack is how far the clocks of several hubs, and one that was set back, may make the archive's order and its times differ.
const slack = time.Hour

// Place is the place in the archive behind which lies everything that was archived at a time or later, with an hour to
// spare for clocks that were set back. Move takes it.
func Place(ctx context.Context, from Archive, since time.Time) (place int64, err error) {
	if since.IsZero() {
		return 0, nil
	}
	since = since.Add(-slack)
	high, err := from.Settled(ctx)
	if err != nil {
		return 0, err
	}
	low := int64(0) // behind low lies what is wanted; behind high only that
	for low < high {
		middle := low + (high-low)/2
		records, err := from.Since(ctx, middle, 1)
		if err != nil {
			return 0, err
		}
		if len(records) == 0 || !records[0].Archived.Before(since) {
			high = middle
			continue
		}
		low = records[0].Seq
	}
	return low, nil
}

// Write writes every record that was archived at a time or later, and is there when it begins. Zero is the oldest one.
func Write(ctx context.Context, f Format, from Archive, since time.Time, w io.Writer) (n int64, err error) {
	if n, err = write(ctx, f, from, since, w); err != nil {
		return n, fmt.Errorf("export: %w", err)
	}
	return n, nil
}

func write(ctx context.Context, f Format, from Archive, since time.Time, w io.Writer) (n int64, err error) {
	end, err := from.Settled(ctx)
	if err != nil {
		return 0, err
	}
	place, err := Place(ctx, from, since)
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	if _, err := out.Write(f.Begin()); err != nil {
		return 0, err
	}
	var line []byte
	for place < end {
		records, err := from.Since(ctx, place, 1000)
		if err != nil {
			return n, err
		}
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			if place = r.Seq; place > end {
				break
			}
			if r.Archived.Before(since) {
				continue
			}
			if line, err = f.Append(line[:0], r); err != nil {
				return n, fmt.Errorf("record %s: %w", r.Name(), err)
			}
			if _, err := out.Write(line); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, out.Flush()
}

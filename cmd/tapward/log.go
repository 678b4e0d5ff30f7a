package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/store"
)

// logCommand lists records for people. It believes what it reads; verify does not.
type logCommand struct {
	Box
	Database string             `arg:"" optional:"" type:"existingfile" help:"A ward.db, of a box that runs or not, or a copy, to read instead of asking the running box."`
	Phone    gateway.PhoneID    `help:"Only records of this phone."`
	Reader   gateway.ReaderID   `help:"Only records of this reader."`
	Kind     gateway.RecordKind `help:"Only records of this kind, such as session.opened."`
	Since    string             `help:"Only records since a time (2006-01-02, \"2006-01-02 15:04\", or RFC 3339) or within a span (90m, 24h)."`
	Limit    int                `short:"n" default:"50" help:"The newest so many; 0 for all."`
	JSON     bool               `help:"One JSON object a line, with everything the record holds."`
}

func (c logCommand) Run(ctx context.Context, t terminal) error {
	filter := audit.Filter{Phone: c.Phone, Reader: c.Reader, Kind: c.Kind}
	var err error
	if filter.Since, err = since(c.Since, time.Now()); err != nil {
		return err
	}
	if c.Database == "" {
		return c.list(t.out, c.client().Backwards(ctx, filter))
	}
	db, err := store.OpenCopy(ctx, c.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	return c.list(t.out, db.Backwards(ctx, filter))
}

// list prints the newest records, oldest first. Where the log cannot be read further back, what was read is shown.
func (c logCommand) list(out io.Writer, backwards iter.Seq2[audit.Sealed, error]) error {
	if c.Limit <= 0 {
		c.Limit = math.MaxInt
	}
	records, err := audit.Take(backwards, c.Limit)
	for _, r := range slices.Backward(records) {
		if err := c.print(out, r); err != nil {
			return err
		}
	}
	if err == nil && len(records) == 0 && !c.JSON {
		fmt.Fprintln(out, "no record matches")
	}
	return err
}

func (c logCommand) print(out io.Writer, r audit.Revealed) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(newRecord(r))
	}
	_, err := fmt.Fprintln(out, sentence(r))
	return err
}

// since reads a moment, or a span that ends now.
func since(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if span, err := time.ParseDuration(text); err == nil {
		return now.Add(-span), nil
	}
	for _, form := range []string{time.DateOnly, "2006-01-02 15:04", time.DateTime} {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t, nil
		}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--since %q is neither a time such as 2006-01-02 or \"2006-01-02 15:04\" nor a span such as 90m or 24h", text)
	}
	return t, nil
}

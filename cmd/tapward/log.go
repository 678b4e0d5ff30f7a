package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/store"
)

// logCommand lists records for people. It believes the database; verify does not.
type logCommand struct {
	Database string             `arg:"" type:"existingfile" help:"ward.db of a box, running or not, or a copy."`
	Phone    gateway.PhoneID    `help:"Only records of this phone."`
	Reader   gateway.ReaderID   `help:"Only records of this reader."`
	Kind     gateway.RecordKind `help:"Only records of this kind, such as session.opened."`
	Since    string             `help:"Only records since a time (2006-01-02, \"2006-01-02 15:04\", or RFC 3339) or within a span (90m, 24h)."`
	Limit    int                `short:"n" default:"50" help:"The newest so many; 0 for all."`
	JSON     bool               `help:"One JSON object a line, with everything the record holds."`
}

func (c logCommand) Run(ctx context.Context, t terminal) error {
	filter := store.Filter{Phone: c.Phone, Reader: c.Reader, Kind: c.Kind}
	var err error
	if filter.Since, err = since(c.Since, time.Now()); err != nil {
		return err
	}
	if c.Limit <= 0 {
		c.Limit = math.MaxInt
	}
	db, err := store.OpenCopy(ctx, c.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	records, err := db.Newest(ctx, filter, c.Limit)
	slices.Reverse(records)
	for _, r := range records {
		if err := c.print(t.out, r); err != nil {
			return err
		}
	}
	if err == nil && len(records) == 0 && !c.JSON {
		fmt.Fprintln(t.out, "no record matches")
	}
	return err
}

func (c logCommand) print(out io.Writer, r store.Listed) error {
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

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// columns writes rows whose cells stand under one another.
type columns struct{ w *tabwriter.Writer }

func newColumns(out io.Writer) columns { return columns{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)} }

func (c columns) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = plain(cell)
	}
	fmt.Fprintln(c.w, strings.TrimRight(strings.Join(cells, "\t"), "\t "))
}

func (c columns) end() error { return c.w.Flush() }

// plain keeps text from elsewhere from steering the terminal or breaking a table.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// moment is a time for people: without the date where it is today's.
func moment(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case t.Local().Format(time.DateOnly) == now.Local().Format(time.DateOnly):
		return t.Local().Format(time.TimeOnly)
	}
	return t.Local().Format(time.DateTime)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

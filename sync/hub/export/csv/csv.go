// Package csv projects records into comma-separated values (RFC 4180), for people who count in a spreadsheet. It is the only
// format that is not delivered to anybody: tapward-hub export writes it.
package csv

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/sync/hub/export"
)

// Format writes a line for each record, below one of names.
type Format struct{}

// Columns are the names, in order. Later releases only add at the end.
var Columns = []string{
	"record", "id", "site", "box", "epoch", "index", "kind", "happened", "recorded", "archived", "clock", "outcome",
	"reasons", "state", "phone", "reader", "clinician", "previous", "operator", "custody", "fence", "grant", "policy",
	"card_proof", "holder_check", "source", "forgotten",
}

// Begin is the names of the columns.
func (Format) Begin() []byte {
	line, err := row(nil, Columns)
	if err != nil {
		panic(err) // a buffer took no bytes
	}
	return line
}

// Append adds one line.
func (Format) Append(to []byte, r export.Record) ([]byte, error) {
	e, rec := r.Leaf.Entry, r.Leaf.Entry.Record
	card, holder, fence := "", "", ""
	if rec.Assurance != (gateway.Assurance{}) {
		card, holder = rec.Assurance.Card.String(), rec.Assurance.Holder.String()
	}
	if rec.Fence != 0 {
		fence = fmt.Sprint(rec.Fence)
	}
	forgotten := make([]string, len(r.Forgotten))
	for i, f := range r.Forgotten {
		forgotten[i] = string(f)
	}
	return row(to, []string{
		r.Name(), r.ID(), r.Address.Site, r.Box(), fmt.Sprint(r.Leaf.Epoch), fmt.Sprint(r.Leaf.Index), r.Kind(),
		moment(r.Happened()), moment(e.At), moment(r.Archived), string(e.Clock), fmt.Sprint(int(r.Meaning().Outcome)),
		r.Reasons(), rec.State, string(rec.Phone), r.Reader(), string(rec.Clinician), string(rec.Previous), rec.Operator,
		r.Custody(), fence, r.Session(), r.Policy(), card, holder, string(rec.Origin), strings.Join(forgotten, " "),
	})
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func row(to []byte, fields []string) ([]byte, error) {
	buffer := bytes.NewBuffer(to)
	w := csv.NewWriter(buffer)
	w.UseCRLF = true
	clean := make([]string, len(fields))
	for i, f := range fields {
		clean[i] = inert(export.Line(f))
	}
	if err := w.Write(clean); err != nil {
		return to, err
	}
	w.Flush()
	return buffer.Bytes(), w.Error()
}

// inert keeps a spreadsheet from taking a text for a formula: such a text gets an apostrophe in front.
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

package uplink_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// logOf is the records of one epoch of box-1.
func logOf(t testing.TB, n int) (audit.Tree, []audit.Stored) {
	t.Helper()
	tree := audit.Tree{Epoch: 1}
	var records []audit.Stored
	for i := range n {
		e := audit.Entry{Record: gateway.Record{Kind: gateway.SessionOpened, Clinician: "c-17"}, Machine: "box-1"}
		leaf, openings, err := audit.Seal(1, int64(i), e, bytes.NewReader(bytes.Repeat([]byte{byte(i)}, 64)))
		if err != nil {
			t.Fatal(err)
		}
		var hashes []tlog.Hash
		tree, hashes = tree.Append(leaf)
		records = append(records, audit.Stored{Sealed: audit.Sealed{Index: int64(i), Leaf: leaf, Openings: openings}, Hashes: hashes})
	}
	return tree, records
}

func each(records []audit.Stored) func(func(audit.Stored, error) bool) {
	return func(yield func(audit.Stored, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func writeHistory(t testing.TB, e uplink.HistoryEpoch, records []audit.Stored) string {
	t.Helper()
	var out bytes.Buffer
	w, err := uplink.NewHistoryWriter(&out, uplink.Address{Site: "site-1", Box: "box-1"})
	if err == nil {
		err = w.Epoch(e, each(records))
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestHistoryReadsAsItWasWritten(t *testing.T) {
	_, records := logOf(t, 9)
	records[3].Leaf, records[3].Openings = nil, nil // gone with the retention
	want := uplink.HistoryEpoch{Epoch: 1, Size: 8, Stored: "a checkpoint\n", Witnessed: []byte("a proof")}
	r, err := uplink.NewHistoryReader(strings.NewReader(writeHistory(t, want, records)))
	if err != nil || r.About() != (uplink.Address{Site: "site-1", Box: "box-1"}) {
		t.Fatal(r, err)
	}
	e, err := r.Next()
	if err != nil || !reflect.DeepEqual(e, want) {
		t.Fatalf("epoch %+v, %v", e, err)
	}
	var got []audit.Stored
	for record, err := range r.Records(e) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, record)
	}
	if !reflect.DeepEqual(got, records[:8]) {
		t.Error("the records are not those that were written")
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("behind the last epoch: %v", err)
	}
}

func TestHistoryWithAGapIsNotWritten(t *testing.T) {
	_, records := logOf(t, 4)
	for name, part := range map[string][]audit.Stored{"a gap": {records[0], records[2]}, "too few": records[:2], "an error": nil} {
		w, err := uplink.NewHistoryWriter(io.Discard, uplink.Address{Site: "site-1", Box: "box-1"})
		if err != nil {
			t.Fatal(err)
		}
		read := each(part)
		if part == nil {
			read = func(yield func(audit.Stored, error) bool) { yield(audit.Stored{}, errors.New("the archive is away")) }
		}
		if err := w.Epoch(uplink.HistoryEpoch{Epoch: 1, Size: 4}, read); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func FuzzHistory(f *testing.F) {
	_, records := logOf(f, 2)
	text := writeHistory(f, uplink.HistoryEpoch{Epoch: 1, Size: 2, Stored: "s"}, records)
	f.Add(text)
	f.Add(text[:len(text)-40])
	f.Add(`{"history":2,"site":"s","box":"b"}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := uplink.NewHistoryReader(strings.NewReader(text))
		if err != nil {
			return
		}
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			n := int64(0)
			for _, err := range r.Records(e) {
				if err != nil {
					return
				}
				n++
			}
			if n != e.Size {
				t.Fatalf("an epoch of %d records ended after %d without an error", e.Size, n)
			}
		}
	})
}

package uplink

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway/audit"
)

// A history is a box's whole log as the archive has it, in a file that somebody outside checks without asking anybody:
// lines of JSON. The first names the box; then, for each epoch, one line of evidence is followed by its records.

// HistoryEpoch is the evidence for one epoch.
type HistoryEpoch struct {
	Epoch     uint32 `json:"epoch"`
	Size      int64  `json:"size"`                // records that follow
	Stored    string `json:"stored"`              // the box's checkpoint at Size, cosigned by the hub
	Witnessed []byte `json:"witnessed,omitempty"` // Witnessed, encoded; empty: no witness has seen a checkpoint of it
}

const historyVersion = 1

type historyHead struct {
	Version int `json:"history"`
	Address
}

// historyRecord is one record. Of one whose body went with the retention only the hashes are left.
type historyRecord struct {
	Index    int64            `json:"index"`
	Leaf     []byte           `json:"leaf,omitempty"`
	Hashes   [][]byte         `json:"hashes"`
	Openings []historyOpening `json:"openings,omitempty"`
}

type historyOpening struct {
	Field audit.Field `json:"field"`
	Salt  []byte      `json:"salt"`
	Value []byte      `json:"value"`
}

// HistoryWriter writes a history.
type HistoryWriter struct {
	out *json.Encoder
}

// NewHistoryWriter begins a history of one box.
func NewHistoryWriter(w io.Writer, a Address) (*HistoryWriter, error) {
	h := &HistoryWriter{out: json.NewEncoder(w)}
	if err := h.out.Encode(historyHead{historyVersion, a}); err != nil {
		return nil, fmt.Errorf("write history: %w", err)
	}
	return h, nil
}

// Epoch writes an epoch with its records, of which there must be exactly e.Size.
func (h *HistoryWriter) Epoch(e HistoryEpoch, records iter.Seq2[audit.Stored, error]) error {
	if err := h.out.Encode(e); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	next := int64(0)
	for r, err := range records {
		if err != nil {
			return fmt.Errorf("write history: %w", err)
		}
		if next == e.Size {
			break // archived since the evidence was taken
		}
		if r.Index != next {
			return fmt.Errorf("write history: record %d of epoch %d stands where %d belongs", r.Index, e.Epoch, next)
		}
		if err := h.out.Encode(newHistoryRecord(r)); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
		next++
	}
	if next != e.Size {
		return fmt.Errorf("write history: epoch %d has %d records and must have %d", e.Epoch, next, e.Size)
	}
	return nil
}

func newHistoryRecord(r audit.Stored) historyRecord {
	out := historyRecord{Index: r.Index, Leaf: r.Leaf, Hashes: [][]byte{}}
	for _, h := range r.Hashes {
		out.Hashes = append(out.Hashes, h[:])
	}
	for _, o := range r.Openings {
		out.Openings = append(out.Openings, historyOpening{o.Field, o.Salt[:], o.Value})
	}
	return out
}

// HistoryReader reads a history. It checks form, no signature and no hash.
type HistoryReader struct {
	lines *bufio.Scanner
	about Address
}

// maxHistoryLine bounds one line: a leaf with its openings, or an epoch's evidence, in base64.
const maxHistoryLine = 1 << 20

// NewHistoryReader reads whose history it is.
func NewHistoryReader(r io.Reader) (*HistoryReader, error) {
	h := &HistoryReader{lines: bufio.NewScanner(r)}
	h.lines.Buffer(nil, maxHistoryLine)
	var head historyHead
	if err := h.next(&head); err != nil {
		return nil, err
	}
	if head.Version != historyVersion {
		return nil, fmt.Errorf("read history: version %d is unknown here; this program knows version %d", head.Version, historyVersion)
	}
	h.about = head.Address
	if err := h.about.Valid(); err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return h, nil
}

// About is whose history it is.
func (h *HistoryReader) About() Address { return h.about }

// Next reads the evidence of the next epoch; io.EOF: there is none. The records of the one before must have been read.
func (h *HistoryReader) Next() (HistoryEpoch, error) {
	var e HistoryEpoch
	err := h.next(&e)
	if err == nil && (e.Epoch == 0 || e.Size < 0) {
		err = errors.New("read history: an epoch without a number or a size")
	}
	return e, err
}

// Records reads the records of the epoch that Next gave.
func (h *HistoryReader) Records(e HistoryEpoch) iter.Seq2[audit.Stored, error] {
	return func(yield func(audit.Stored, error) bool) {
		for range e.Size {
			var in historyRecord
			err := h.next(&in)
			if errors.Is(err, io.EOF) {
				err = errors.New("read history: it ends in the midst of an epoch")
			}
			var r audit.Stored
			if err == nil {
				r, err = in.stored()
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func (in historyRecord) stored() (audit.Stored, error) {
	r := audit.Stored{Sealed: audit.Sealed{Index: in.Index, Leaf: in.Leaf}}
	for _, h := range in.Hashes {
		if len(h) != tlog.HashSize {
			return r, fmt.Errorf("read history: record %d has a hash of %d bytes", in.Index, len(h))
		}
		r.Hashes = append(r.Hashes, tlog.Hash(h))
	}
	for _, o := range in.Openings {
		if len(o.Salt) != audit.SaltSize {
			return r, fmt.Errorf("read history: record %d has a salt of %d bytes", in.Index, len(o.Salt))
		}
		r.Openings = append(r.Openings, audit.Opening{Field: o.Field, Salt: [audit.SaltSize]byte(o.Salt), Value: o.Value})
	}
	return r, nil
}

func (h *HistoryReader) next(into any) error {
	if !h.lines.Scan() {
		if err := h.lines.Err(); err != nil {
			return fmt.Errorf("read history: %w", err)
		}
		return io.EOF
	}
	if err := strictJSON(h.lines.Bytes(), maxHistoryLine, into); err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	return nil
}

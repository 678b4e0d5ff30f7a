package export

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// Record is one archived record on its way out.
type Record struct {
	Seq       int64 // its place in the archive
	Address   uplink.Address
	Leaf      audit.Leaf    // with what names people in place, as far as it was not erased
	Forgotten []audit.Field // that was erased
	Archived  time.Time
}

// Archive is where records come from. Its places rise and stay.
type Archive interface {
	// Since gives at most limit records behind a place, in order. Places without a record are passed over; an empty
	// answer says that there is no more.
	Since(ctx context.Context, after int64, limit int) ([]Record, error)
	// Settled is the place up to which Since gives everything that there is.
	Settled(ctx context.Context) (int64, error)
}

// Name is what the record is called, for ever: site/box/epoch/index.
func (r Record) Name() string {
	return fmt.Sprintf("%s/%s/%d/%d", r.Address.Site, r.Address.Box, r.Leaf.Epoch, r.Leaf.Index)
}

// idDomain separates these digests from every other SHA-256 of the product.
const idDomain = "tapward/export/v1\x00"

// ID is a UUID (RFC 9562, version 8) made of the first 16 bytes of SHA-256("tapward/export/v1" ‖ 0x00 ‖ Name), so that
// whoever gets a record a second time can see it.
func (r Record) ID() string {
	sum := sha256.Sum256([]byte(idDomain + r.Name()))
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// Happened is when it happened at the edge, by the box's clock; where that was not recorded, when it was committed.
func (r Record) Happened() time.Time {
	if at := r.Leaf.Entry.Record.At; !at.IsZero() {
		return at
	}
	return r.Leaf.Entry.At
}

// System is the URI under which the numbers of a kind of thing are unique.
func (r Record) System(of string) string { return "urn:tapward:" + r.Address.Site + ":" + of }

// Reader names the record's reader at its site; empty where there is none.
func (r Record) Reader() string { return r.onBox(string(r.Leaf.Entry.Record.Reader)) }

// Box names the record's box at its site.
func (r Record) Box() string { return string(r.Address.Box) }

// Custody names the passage of a phone that the record belongs to; empty where there is none.
func (r Record) Custody() string {
	if c := r.Leaf.Entry.Record.Custody; c != 0 {
		return r.onBox(fmt.Sprint(c))
	}
	return ""
}

func (r Record) onBox(id string) string {
	if id = Line(id); id == "" {
		return ""
	}
	return r.Box() + "/" + id
}

// Reasons says why, for a person: each code with its sentence.
func (r Record) Reasons() string {
	var all []string
	for _, reason := range r.Leaf.Entry.Record.Reasons {
		code, words := Line(string(reason)), Line(reason.Sentence())
		switch {
		case code == "":
		case words == "" || words == code:
			all = append(all, code)
		default:
			all = append(all, code+": "+words)
		}
	}
	return strings.Join(all, "; ")
}

// Session is the digest of the signed grant that the record is about; empty where there is none.
func (r Record) Session() string {
	if g := r.Leaf.Entry.Record.Grant; !g.IsZero() {
		return g.String()
	}
	return ""
}

// Policy is the digest of the policy that the record followed; empty where there is none.
func (r Record) Policy() string {
	if p := r.Leaf.Entry.Record.Policy; !p.IsZero() {
		return p.String()
	}
	return ""
}

// Line is text from a box as one line that every format takes: without control characters, and with single blanks.
func Line(s string) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.IsSpace(c) {
			return ' '
		}
		if c == unicode.ReplacementChar || !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// Kind is the record's kind as one line, never empty.
func (r Record) Kind() string {
	if k := Line(string(r.Leaf.Entry.Record.Kind)); k != "" {
		return k
	}
	return "unnamed"
}

func (r Record) has(reasons ...gateway.Reason) bool {
	return slices.ContainsFunc(r.Leaf.Entry.Record.Reasons, func(mine gateway.Reason) bool { return slices.Contains(reasons, mine) })
}

package policy

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	toml "github.com/pelletier/go-toml/v2"

	"tapward/gateway"
)

// Parse reads and checks a document as docs/policy.md describes it. Its error is Problems: everything that is wrong,
// each with where it is and what to do. A document is whole or it is refused.
func Parse(doc []byte) (Document, error) {
	if len(doc) > MaxDocument {
		return Document{}, Problems{{What: fmt.Sprintf("is longer than %d bytes", MaxDocument)}}
	}
	var keys map[string]any
	if err := toml.Unmarshal(doc, &keys); err != nil {
		return Document{}, Problems{syntax(doc, err)}
	}
	all := &notes{}
	d := parseDocument(&table{notes: all, keys: keys})
	if len(all.found) > 0 {
		return Document{}, located(doc, all.found)
	}
	d.digest = sha256.Sum256(doc)
	return d, nil
}

// syntax words an error of the TOML reader, without the text around it that the reader would quote.
func syntax(doc []byte, err error) Problem {
	what := strings.TrimPrefix(err.Error(), "toml: ")
	what, _, _ = strings.Cut(what, ": strconv")
	p := Problem{What: "is not TOML: " + what}
	if at := (*toml.DecodeError)(nil); errors.As(err, &at) {
		p.Line, _ = at.Position()
		p.Line = min(p.Line, 1+bytes.Count(doc, []byte("\n")))
	}
	return p
}

func parseDocument(t *table) Document {
	d := Document{Version: parseVersion(t), Site: t.id("site")}
	d.Wards = parseWards(t)
	d.Classes = parseClasses(t.child("class"))
	d.Actions = parseActions(t.child("action"))
	d.Readers = parseReaders(t, d)
	d.Clinicians = parseRoster(t, d)
	t.finish()
	return d
}

func parseVersion(t *table) uint64 {
	t.missing("version", "a whole number that rises with every document, starting at 1")
	v, ok := read[int64](t, "version", "a whole number")
	if ok && v < 1 {
		t.note("version", "must be 1 or more")
	}
	return uint64(max(v, 0))
}

func parseWards(t *table) []Ward {
	var out []Ward
	seen := map[string]bool{}
	t.missing("ward", "at least one [[ward]] with an id and a name")
	for _, w := range t.list("ward") {
		ward := Ward{ID: w.id("id"), Name: w.name("name")}
		if ward.ID != "" && seen[ward.ID] {
			w.note("id", "%q is the id of two wards", ward.ID)
		}
		seen[ward.ID] = true
		w.finish()
		out = append(out, ward)
	}
	return out
}

func parseReaders(t *table, d Document) []Reader {
	var out []Reader
	type once struct{ ward, key, id string }
	seen := map[once]bool{}
	for _, r := range t.list("reader") {
		reader := Reader{Ward: r.ward("ward", d), Place: gateway.Place{
			Reader: gateway.ReaderID(r.id("id")), Pool: r.id("pool"), Slot: r.optionalID("slot"),
			Phone: gateway.PhoneID(r.optionalID("phone")),
		}}
		for _, one := range []once{
			{reader.Ward, "id", string(reader.Reader)}, {reader.Ward, "slot", reader.Slot}, {reader.Ward, "phone", string(reader.Phone)},
		} {
			if one.id != "" && seen[one] {
				r.note(one.key, "%q stands at two readers of this ward", one.id)
			}
			seen[one] = true
		}
		if reader.Slot != "" && reader.Phone != "" {
			r.note("", "has both slot and phone: a reader stands for a slot, for a phone, or for neither")
		}
		r.finish()
		out = append(out, reader)
	}
	return out
}

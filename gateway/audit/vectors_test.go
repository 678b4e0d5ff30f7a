package audit_test

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
)

var update = flag.Bool("update", false, "write docs/audit-vectors anew; a change of published bytes needs a new schema version")

const vectorFolder = "../../docs/audit-vectors"

// vector is one published example: what happened, its bytes, and the log after it.
type vector struct {
	About    string          `json:"about"`
	Epoch    uint32          `json:"epoch"`
	Index    int64           `json:"index"`
	Entry    json.RawMessage `json:"entry"` // for people; the leaf is what counts
	Leaf     string          `json:"leaf_hex"`
	Openings []vectorOpening `json:"openings"`
	Hashes   []string        `json:"stored_hashes_hex"` // the leaf's own first
	Size     int64           `json:"tree_size"`
	Root     string          `json:"tree_root_hex"`
}

type vectorOpening struct {
	Field      audit.Field `json:"field"`
	Salt       string      `json:"salt_hex"`
	Value      string      `json:"value"`
	Commitment string      `json:"commitment_hex"`
}

// log is one epoch of vectors and the checkpoint over it, signed with a key that is published and good for nothing else.
type log struct {
	Box        gateway.BoxID `json:"box"`
	Key        string        `json:"verifier_key"`
	Vectors    []vector      `json:"records"`
	Checkpoint string        `json:"checkpoint"`
}

type example struct {
	about string
	entry audit.Entry
}

func vectorEntries() []example {
	var examples []example
	add := func(about string, e audit.Entry) { examples = append(examples, example{about, e}) }
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	add("the smallest: a box that has just been made, booted in 1970", audit.Entry{
		At: time.Unix(12, 0).UTC(), Boot: 1, Machine: "box-1",
		Record: gateway.Record{Kind: gateway.BoxStarted},
	})
	add("an unknown badge", audit.Entry{
		At: at, Clock: audit.NotSynchronised, Boot: 1, Uptime: time.Minute, Machine: "box-1",
		Record: gateway.Record{
			Kind: gateway.TapRefused, At: at.Add(-20 * time.Millisecond), Reader: "door", Origin: gateway.OriginPCSC,
			Assurance: gateway.Assurance{Card: gateway.CardNumber}, Reasons: []gateway.Reason{gateway.UnknownBadge},
			Durations: gateway.Durations{Read: 14 * time.Millisecond, Identify: 3 * time.Microsecond},
		},
	})
	full := handOff()
	full.Boot = 1
	add("every field set", full)
	add("text that CBOR encodes in more than one byte a rune", audit.Entry{
		At: at, Clock: audit.Synchronised, Boot: 2, Uptime: time.Second, Machine: "box-1",
		Record: gateway.Record{Kind: gateway.OperatorActed, Operator: "Zoë Müller (made up)", Words: "überprüft"},
	})
	add("an operator's act that was refused", audit.Entry{
		At: at.Add(time.Second), Clock: audit.Synchronised, Boot: 2, Uptime: 2 * time.Second, Machine: "box-1",
		Record: gateway.Record{
			Kind: gateway.OperatorRefused, Phone: "phone-07", State: "remove-phone", Reasons: []gateway.Reason{gateway.PhoneBusy},
			Operator: "operator-1 (made up)", Words: "remove phone phone-07: it is in use; release it first",
		},
	})
	return examples
}

// makeLogs are the published logs by file name: a first epoch, and the one that replaced it.
func makeLogs(t *testing.T) map[string]log {
	first, head := makeLog(t, audit.FirstEpoch, vectorEntries())
	second, _ := makeLog(t, audit.FirstEpoch+1, []example{
		{"the first record of an epoch that names the checkpoint it replaces", opened(first.Checkpoint, head)},
	})
	return map[string]log{"epoch-1.json": first, "epoch-2.json": second}
}

func makeLog(t *testing.T, epoch uint32, examples []example) (log, audit.Head) {
	signer, _, public := testKey(t)
	made := log{Box: "box-1", Key: public}
	b := &book{tree: audit.Tree{Epoch: epoch}}
	for _, x := range examples {
		b.write(t, x.entry)
		made.Vectors = append(made.Vectors, describe(t, x.about, x.entry, b))
	}
	head := b.tree.Head()
	var err error
	if made.Checkpoint, err = audit.SignCheckpoint("box-1", head, signer); err != nil {
		t.Fatal(err)
	}
	return made, head
}

func describe(t *testing.T, about string, e audit.Entry, b *book) vector {
	last := b.records[len(b.records)-1]
	entry, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	head := b.tree.Head()
	v := vector{
		About: about, Epoch: head.Epoch, Index: last.Index, Entry: entry, Leaf: hex.EncodeToString(last.Leaf),
		Openings: []vectorOpening{}, Size: head.Size, Root: head.Root.String(),
	}
	for _, o := range last.Openings {
		v.Openings = append(v.Openings, vectorOpening{
			o.Field, hex.EncodeToString(o.Salt[:]), string(o.Value), o.Commitment().String(),
		})
	}
	for _, h := range last.Hashes {
		v.Hashes = append(v.Hashes, hex.EncodeToString(h[:]))
	}
	return v
}

// TestPublishedVectors makes the published logs anew and finds the same bytes.
func TestPublishedVectors(t *testing.T) {
	for name, made := range makeLogs(t) {
		path := filepath.Join(vectorFolder, name)
		text, err := json.MarshalIndent(made, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, '\n')
		if *update {
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		published, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(published) != string(text) {
			t.Errorf("%s: the bytes made now differ from those published: leaves already written could no longer be verified", name)
		}
	}
}

// TestPublishedVectorsVerify reads the published files as a stranger does and finds them true.
func TestPublishedVectorsVerify(t *testing.T) {
	var heads []audit.Head
	var books []*book
	for _, name := range []string{"epoch-1.json", "epoch-2.json"} {
		text, err := os.ReadFile(filepath.Join(vectorFolder, name))
		if err != nil {
			t.Fatal(err)
		}
		var published log
		if err := json.Unmarshal(text, &published); err != nil {
			t.Fatal(err)
		}
		verifier, err := note.NewVerifier(published.Key)
		if err != nil {
			t.Fatal(err)
		}
		head, err := audit.OpenCheckpoint(published.Checkpoint, verifier)
		if err != nil {
			t.Fatal(err)
		}
		heads, books = append(heads, head), append(books, published.book(t, head.Epoch))
	}
	if r := verify(t, heads, books...); r.Bad != nil || r.Records != 6 || len(r.Breaks) != 1 {
		t.Errorf("%d records verified: %v", r.Records, r.Bad)
	}
}

// book rebuilds the log from its leaves and openings, and compares everything derived with what is published.
func (l log) book(t *testing.T, epoch uint32) *book {
	b := &book{tree: audit.Tree{Epoch: epoch}}
	for _, v := range l.Vectors {
		leaf := unhex(t, v.Leaf)
		next, hashes := b.tree.Append(leaf)
		b.tree = next
		record := audit.Stored{Sealed: audit.Sealed{Index: v.Index, Leaf: leaf}, Hashes: hashes}
		for _, o := range v.Openings {
			opening := audit.Opening{Field: o.Field, Salt: [audit.SaltSize]byte(unhex(t, o.Salt)), Value: []byte(o.Value)}
			if opening.Commitment().String() != o.Commitment {
				t.Errorf("record %d: commitment of %s is another", v.Index, o.Field)
			}
			record.Openings = append(record.Openings, opening)
		}
		var have []string
		for _, h := range hashes {
			have = append(have, hex.EncodeToString(h[:]))
		}
		if !reflect.DeepEqual(have, v.Hashes) || next.Head().Root.String() != v.Root || next.Head().Size != v.Size {
			t.Errorf("record %d: hashes or root are others", v.Index)
		}
		b.records = append(b.records, record)
	}
	return b
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

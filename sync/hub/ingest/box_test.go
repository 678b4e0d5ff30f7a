package ingest_test

import (
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/uplink"
)

var start = time.Date(2026, 10, 30, 8, 0, 0, 0, time.UTC)

// box is one epoch of a box's log, held in memory.
type box struct {
	origin   archive.Origin
	tree     audit.Tree
	records  []audit.Sealed
	hashes   []tlog.Hash
	signer   note.Signer
	verifier note.Verifier
	public   string // of verifier
}

func newBox(name string) *box {
	secret, public, err := audit.NewKey(rand.Reader, gateway.BoxID(name))
	must(err)
	b := &box{origin: archive.Origin{Address: uplink.Address{Site: "north", Box: gateway.BoxID(name)}, Epoch: 1}, tree: audit.Tree{Epoch: 1}, public: public}
	b.signer, err = note.NewSigner(secret)
	must(err)
	b.verifier, err = note.NewVerifier(public)
	must(err)
	return b
}

// box is a new one that the hub knows.
func (s *stage) box(name string) *box {
	b := newBox(name)
	s.boxes.allow(b)
	return b
}

func (b *box) write(e audit.Entry) {
	index := b.tree.Size()
	e.At, e.Clock, e.Boot, e.Machine = start.Add(time.Duration(index)*time.Second), audit.Synchronised, 1, string(b.origin.Box)
	leaf, openings, err := audit.Seal(b.origin.Epoch, index, e, rand.Reader)
	must(err)
	var completed []tlog.Hash
	b.tree, completed = b.tree.Append(leaf)
	b.records = append(b.records, audit.Sealed{Index: index, Leaf: leaf, Openings: openings})
	b.hashes = append(b.hashes, completed...)
}

// work writes hand-offs between changing people.
func (b *box) work(records int) *box {
	for range records {
		i := b.tree.Size()
		b.write(audit.Entry{Record: gateway.Record{
			Kind: gateway.SessionOpened, Reader: "door", Phone: gateway.PhoneID(fmt.Sprintf("phone-%d", i%7)), Fence: gateway.Fence(i + 1),
			Clinician: gateway.ClinicianID(fmt.Sprintf("c-%d", i%5)), Previous: gateway.ClinicianID(fmt.Sprintf("c-%d", (i+1)%5)),
		}})
	}
	return b
}

// ReadHashes makes the box a tlog.HashReader.
func (b *box) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = b.hashes[index]
	}
	return hashes, nil
}

func (b *box) headAt(size int) audit.Head {
	tree, err := audit.OpenTree(b.origin.Epoch, int64(size), b)
	must(err)
	return tree.Head()
}

func (b *box) checkpoint(size int) string {
	signed, err := audit.SignCheckpoint(b.origin.Box, b.headAt(size), b.signer)
	must(err)
	return signed
}

// bundle is a message with the records from to to.
func (b *box) bundle(from, to int) []byte {
	bundle, err := audit.NewBundle(b.origin.Box, b.origin.Epoch, b.records[from:to], b, b.signer)
	must(err)
	return encode(bundle)
}

func encode(b audit.Bundle) []byte {
	out, err := b.Encode()
	must(err)
	return out
}

// bundles are messages with all records from an index on.
func (b *box) bundles(from, each int) (out [][]byte) {
	for ; from < len(b.records); from += each {
		out = append(out, b.bundle(from, min(from+each, len(b.records))))
	}
	return out
}

// fork is the same box with another memory of what came after some records.
func (b *box) fork(after, more int) *box {
	f := *b
	f.records = slices.Clone(b.records[:after])
	f.hashes = slices.Clone(b.hashes[:tlog.StoredHashCount(int64(after))])
	var err error
	f.tree, err = audit.OpenTree(b.origin.Epoch, int64(after), &f)
	must(err)
	for range more {
		f.write(audit.Entry{Record: gateway.Record{Kind: gateway.SessionOpened, Reader: "another", Fence: 1}})
	}
	return &f
}

// next is the box's next epoch, which names what it replaces.
func (b *box) next(reason gateway.Reason, prior string, held audit.Head) *box {
	n := *b
	n.origin.Epoch++
	n.tree, n.records, n.hashes = audit.Tree{Epoch: n.origin.Epoch}, nil, nil
	n.write(audit.Entry{Record: gateway.Record{Kind: audit.EpochOpened, Reasons: []gateway.Reason{reason}}, Prior: prior, Held: held})
	return &n
}

// archived re-checks everything that is archived of a box, and that it is all that the box wrote up to a size.
func (b *box) archived(t testing.TB, a *archive.Archive, size int) {
	t.Helper()
	v := audit.NewVerifier(b.headAt(size))
	records := int64(0)
	for r, err := range a.Records(t.Context(), b.origin, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Hashes[0] != tlog.RecordHash(b.records[r.Index].Leaf) {
			t.Errorf("record %d of %s is another one", r.Index, b.origin)
		}
		records++
	}
	if records != int64(size) {
		t.Errorf("%d records of %s are archived, want %d", records, b.origin, size)
	}
	if b.origin.Epoch > 1 {
		return // what it names is the earlier epoch's matter
	}
	if _, err := v.Epoch(b.origin.Epoch, a.Records(t.Context(), b.origin, 0)); err != nil {
		t.Fatal(err)
	}
	if report := v.Finish(); report.Bad != nil {
		t.Errorf("%s: %v", b.origin, report.Bad)
	}
}

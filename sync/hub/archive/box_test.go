package archive_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/uplink"
)

var engines databasetest.Engines

func TestMain(m *testing.M) {
	if writeUntilKilled() {
		return
	}
	engines.Main(m)
}

var start = time.Date(2026, 10, 30, 8, 0, 0, 0, time.UTC)

// box is a box's log, held in memory.
type box struct {
	origin   archive.Origin
	tree     audit.Tree
	records  []audit.Stored
	leaves   []audit.Leaf
	hashes   []tlog.Hash
	signer   note.Signer
	verifier note.Verifier
}

func newBox(name string) *box {
	secret, public, err := audit.NewKey(rand.Reader, gateway.BoxID(name))
	must(err)
	b := &box{origin: archive.Origin{Address: uplink.Address{Site: "north", Box: gateway.BoxID(name)}, Epoch: 1}, tree: audit.Tree{Epoch: 1}}
	b.signer, err = note.NewSigner(secret)
	must(err)
	b.verifier, err = note.NewVerifier(public)
	must(err)
	return b
}

// must is for what cannot fail with what these tests give it, and for the child that has no test.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// write adds a record as the box would.
func (b *box) write(r gateway.Record) {
	index := b.tree.Size()
	e := audit.Entry{Record: r, At: start.Add(time.Duration(index) * time.Second), Clock: audit.Synchronised, Boot: 1, Machine: string(b.origin.Box)}
	bytes, openings, err := audit.Seal(b.origin.Epoch, index, e, rand.Reader)
	must(err)
	leaf, err := audit.Decode(bytes)
	must(err)
	var completed []tlog.Hash
	b.tree, completed = b.tree.Append(bytes)
	b.records = append(b.records, audit.Stored{Sealed: audit.Sealed{Index: index, Leaf: bytes, Openings: openings}, Hashes: completed})
	b.leaves = append(b.leaves, leaf)
	b.hashes = append(b.hashes, completed...)
}

// work writes hand-offs between changing people.
func (b *box) work(records int) *box {
	for range records {
		i := b.tree.Size()
		b.write(gateway.Record{
			Kind: gateway.SessionOpened, Reader: "door", Phone: gateway.PhoneID(fmt.Sprintf("phone-%d", i%7)), Fence: gateway.Fence(i + 1),
			Clinician: gateway.ClinicianID(fmt.Sprintf("c-%d", i%5)), Previous: gateway.ClinicianID(fmt.Sprintf("c-%d", (i+1)%5)),
			Words: "a note", Receipt: "a receipt",
		})
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

func (b *box) headAt(size int64) audit.Head {
	tree, err := audit.OpenTree(b.origin.Epoch, size, b)
	must(err)
	return tree.Head()
}

// batch is the records from to to, archived at a time.
func (b *box) batch(from, to int, at time.Time) archive.Batch {
	checkpoint, err := audit.SignCheckpoint(b.origin.Box, b.headAt(int64(to)), b.signer)
	must(err)
	return archive.Batch{Origin: b.origin, Records: b.records[from:to], Leaves: b.leaves[from:to], Checkpoint: checkpoint, At: at}
}

// send archives the records from to to.
func (b *box) send(t testing.TB, a *archive.Archive, from, to int, at time.Time) {
	t.Helper()
	if _, err := a.Append(t.Context(), b.batch(from, to, at)); err != nil {
		t.Fatal(err)
	}
}

func openDatabase(t testing.TB, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func open(t testing.TB, url string) *archive.Archive {
	t.Helper()
	return archive.New(openDatabase(t, url), archive.Retention{}, quiet())
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// verify re-checks everything that is archived of a box against the head the box has at that size.
func (b *box) verify(t testing.TB, a *archive.Archive, size int64) audit.Report {
	t.Helper()
	v := audit.NewVerifier(b.headAt(size))
	if _, err := v.Epoch(b.origin.Epoch, a.Records(t.Context(), b.origin, 0)); err != nil {
		t.Fatal(err)
	}
	report := v.Finish()
	if report.Bad != nil || report.Records != size {
		t.Errorf("verified %d of %d records of %s: %v", report.Records, size, b.origin, report.Bad)
	}
	return report
}

package audit_test

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// salts gives the bytes 0, 1, 2 … for ever, so that leaves are the same in every run.
type salts struct{ next byte }

func (s *salts) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = s.next
		s.next++
	}
	return len(p), nil
}

// handOff is an entry with every field set.
func handOff() audit.Entry {
	at := time.Date(2026, 3, 4, 5, 6, 7, 890, time.UTC)
	return audit.Entry{
		At: at, Clock: audit.Synchronised, Boot: 7, Uptime: 90 * time.Minute, Machine: "box-1", PolicySigned: true,
		Record: gateway.Record{
			Kind: gateway.HandOffRequested, At: at.Add(-time.Millisecond), Reader: "dock-3", Origin: gateway.OriginPCSC,
			Phone: "phone-07", Fence: 41, Custody: 12, Grant: gateway.Digest{1, 2, 3}, Policy: gateway.Digest{4, 5, 6},
			Reasons:   []gateway.Reason{gateway.HandOff, gateway.TakenOver},
			Assurance: gateway.Assurance{Card: gateway.CardNumber, Holder: gateway.HolderPIN}, State: "up",
			Durations: gateway.Durations{Read: 1, Identify: 2, Decide: 3, Choose: 4, Commit: 5, Notify: 6, Confirmed: 7, FirstUse: 8},
			Clinician: "c-made-up-1", Previous: "c-made-up-2", Operator: "made-up operator", Words: "made-up words", Receipt: "made-up receipt",
		},
	}
}

// opened is the first entry of a later epoch.
func opened(prior string, held audit.Head) audit.Entry {
	return audit.Entry{
		At: time.Unix(1, 0), Boot: 7, Machine: "box-1", Prior: prior, Held: held,
		Record: gateway.Record{Kind: audit.EpochOpened, Reasons: []gateway.Reason{audit.RolledBack}},
	}
}

// book is a log in memory.
type book struct {
	tree    audit.Tree
	records []audit.Stored
}

// write seals n entries onto the end of an epoch.
func (b *book) write(t testing.TB, entries ...audit.Entry) {
	t.Helper()
	for _, e := range entries {
		leaf, openings, err := audit.Seal(b.tree.Epoch, b.tree.Size(), e, &salts{})
		if err != nil {
			t.Fatal(err)
		}
		next, hashes := b.tree.Append(leaf)
		b.records = append(b.records, audit.Stored{
			Sealed: audit.Sealed{Index: b.tree.Size(), Leaf: leaf, Openings: openings}, Hashes: hashes,
		})
		b.tree = next
	}
}

// ReadHashes makes a book tlog's reader of stored hashes.
func (b *book) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var all []tlog.Hash
	for _, r := range b.records {
		all = append(all, r.Hashes...)
	}
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = all[index]
	}
	return hashes, nil
}

func newBook(t testing.TB, epoch uint32, n int) *book {
	b := &book{tree: audit.Tree{Epoch: epoch}}
	for range n {
		b.write(t, handOff())
	}
	return b
}

// testKey is a log key made of fixed bytes: public, and good for nothing but tests.
func testKey(t testing.TB) (note.Signer, note.Verifier, string) {
	t.Helper()
	secret, public, err := audit.NewKey(bytes.NewReader(make([]byte, 64)), "box-1")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier, public
}

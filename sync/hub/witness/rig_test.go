package witness_test

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/witness"
	"tapward/sync/uplink"
)

var engines databasetest.Engines

func TestMain(m *testing.M) { engines.Main(m) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newKey(name string) (note.Signer, note.Verifier, string) {
	secret, public, err := note.GenerateKey(rand.Reader, name)
	must(err)
	signer, err := note.NewSigner(secret)
	must(err)
	verifier, err := note.NewVerifier(public)
	must(err)
	return signer, verifier, public
}

// box is a box's log.
type box struct {
	origin   archive.Origin
	tree     audit.Tree
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

// archive writes records and archives them with one checkpoint.
func (b *box) archive(t testing.TB, a *archive.Archive, records int) {
	t.Helper()
	batch := archive.Batch{Origin: b.origin, At: time.Now()}
	for range records {
		index := b.tree.Size()
		e := audit.Entry{Record: gateway.Record{Kind: gateway.SessionOpened, Fence: gateway.Fence(index)}, At: time.Now(), Boot: 1, Machine: string(b.origin.Box)}
		leaf, openings, err := audit.Seal(1, index, e, rand.Reader)
		must(err)
		decoded, err := audit.Decode(leaf)
		must(err)
		var hashes []tlog.Hash
		b.tree, hashes = b.tree.Append(leaf)
		batch.Records = append(batch.Records, audit.Stored{Sealed: audit.Sealed{Index: index, Leaf: leaf, Openings: openings}, Hashes: hashes})
		batch.Leaves = append(batch.Leaves, decoded)
	}
	var err error
	batch.Checkpoint, err = audit.SignCheckpoint(b.origin.Box, b.tree.Head(), b.signer)
	must(err)
	if _, err := a.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

// hub is a database with an archive and a log.
type hub struct {
	db      *database.DB
	archive *archive.Archive
	*witness.Log
}

func newHub(t testing.TB, url string, signer note.Signer, peers ...*peer) *hub {
	t.Helper()
	db, err := database.Open(t.Context(), url)
	must(err)
	t.Cleanup(func() { must(db.Close()) })
	h := &hub{db: db, archive: archive.New(db, archive.Retention{}, quiet())}
	config := witness.Config{Database: db, Archive: h.archive, Signer: signer, Logger: quiet(), Every: 20 * time.Millisecond}
	for _, p := range peers {
		config.Peers = append(config.Peers, witness.Peer{URL: p.url, Key: p.key})
	}
	h.Log, err = witness.New(config)
	must(err)
	return h
}

// run runs the log until what is wanted has come, and ends it.
func (h *hub) until(t testing.TB, what string, wanted func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		must(<-done)
	})
	defer stop()
	tick, limit := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !wanted() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s does not come; the witnesses: %+v", what, h.States())
		}
	}
}

// witnessed waits until a size is cosigned by every witness.
func (h *hub) witnessed(t testing.TB, size int64) {
	t.Helper()
	h.until(t, "the cosignature", func() bool {
		_, cosigned, err := h.Newest(t.Context())
		must(err)
		for _, s := range h.States() {
			if s.Size != size || s.Trouble != "" {
				return false
			}
		}
		return cosigned == size
	})
}

package outbox_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
	"tapward/gateway/store"
	"tapward/sync/outbox"
	"tapward/sync/uplink"
)

var address = uplink.Address{Site: "site-1", Box: "box-1"}

// keys are those of a box and of its hub.
type keys struct {
	signer   note.Signer
	box      note.Verifier
	cosigner note.Signer
	hub      note.Verifier
}

func newKeys(t testing.TB) (k keys) {
	secret, public, err := audit.NewKey(bytes.NewReader(make([]byte, 64)), address.Box)
	must(t, err)
	k.signer, err = note.NewSigner(secret)
	must(t, err)
	k.box, err = note.NewVerifier(public)
	must(t, err)
	secret, public, err = note.GenerateKey(rand.Reader, "tapward-hub/site-1/stored")
	must(t, err)
	k.cosigner, err = uplink.NewStoredSigner(secret)
	must(t, err)
	k.hub, err = uplink.NewStoredVerifier(public)
	must(t, err)
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a box with its store and outbox, a broker and a hub, all in one bubble but the disk.
type world struct {
	t    testing.TB
	keys keys
	path string

	broker *broker
	hub    *hub

	db      *store.Store
	box     *outbox.Outbox
	records chan gateway.Record // of the outbox, for the box's log
	change  func(*outbox.Config)
	stopBox func()
	stopDB  func()
}

const retention = time.Hour

func newWorld(t testing.TB, path string) *world {
	w := &world{t: t, keys: newKeys(t), path: path, records: make(chan gateway.Record, 100), broker: &broker{}}
	w.hub = newHub(w)
	w.open()
	w.start()
	return w
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "ward.db") }

func (w *world) open() {
	var err error
	w.db, err = store.Open(context.Background(), store.Config{
		Path: w.path, Create: true, Box: address.Box, BootID: "boot-1", Signer: w.keys.signer, Reserve: 64 << 10, LowWater: 64 << 10,
	})
	must(w.t, err)
	stop := running(w.t, w.db.Run)
	w.stopDB = func() {
		stop()
		must(w.t, w.db.Close())
	}
}

// anchor makes everything safe to send at once, as the end of a daemon does.
func (w *world) anchor() {
	w.stopDB()
	w.open()
}

func (w *world) start() {
	config := outbox.Config{
		Address: address, Log: w.db, Broker: w.broker, Signer: w.keys.signer, Box: w.keys.box, Hub: w.keys.hub,
		Logger: slog.New(slog.DiscardHandler), Retention: retention,
		Record: func(_ context.Context, r gateway.Record) { w.records <- r },
	}
	if w.change != nil {
		w.change(&config)
	}
	var err error
	w.box, err = outbox.New(config)
	must(w.t, err)
	stop := running(w.t, w.box.Run)
	w.hub.tell() // as a watch does after a connect
	w.stopBox = func() {
		stop()
		w.box = nil
	}
}

func (w *world) stop() {
	w.stopBox()
	w.stopDB()
}

// running runs something until stop is called, which waits for its end.
func running(t testing.TB, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// commit writes n records at once, stamped now.
func (w *world) commit(n int) {
	var entries []audit.Entry
	for range n {
		entries = append(entries, audit.Entry{At: time.Now(), Clock: audit.Synchronised, Record: gateway.Record{
			Kind: gateway.TapRefused, Reader: "door", Clinician: "c-made-up", Words: "made-up words",
		}})
	}
	_, err := w.db.Commit(context.Background(), session.State{Box: address.Box}, entries)
	must(w.t, err)
}

// newEpoch is what a box does that finds itself rolled back.
func (w *world) newEpoch(why gateway.Reason) {
	_, err := w.db.OpenEpoch(context.Background(), why, w.db.Checkpoint(), audit.Entry{At: time.Now()})
	must(w.t, err)
}

// arrived says whether the hub has all that is safe to send, exactly as it is.
func (w *world) arrived() bool {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	log, err := w.db.Outgoing(context.Background())
	must(w.t, err)
	for _, e := range log {
		if e.Size == 0 || e.Forked {
			continue
		}
		a := w.hub.archive.of(e.Epoch)
		if a.tree.Size() != e.Size {
			return false
		}
		root, err := tlog.TreeHash(e.Size, w.db.Hashes(context.Background(), e.Epoch))
		must(w.t, err)
		if gateway.Digest(root) != a.tree.Head().Root {
			w.t.Fatalf("epoch %d: the hub has another log than the box", e.Epoch)
		}
	}
	return true
}

// await lets the bubble's time pass until something holds.
func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	for range 10_000 {
		if holds() {
			return
		}
		<-time.After(time.Second)
	}
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	sizes := map[uint32]int64{}
	for epoch, p := range w.hub.archive {
		sizes[epoch] = p.tree.Size()
	}
	w.t.Fatalf("%s: not within hours; %+v; %d messages at the broker; the hub has %v and said last %s",
		what, w.box.State(), w.broker.count(), sizes, w.hub.newest)
}

func (w *world) prunedOnlyWhatWasClaimed() {
	w.t.Helper()
	log, err := w.db.Outgoing(context.Background())
	must(w.t, err)
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	for _, e := range log {
		if e.Pruned > w.hub.claimed[e.Epoch] {
			w.t.Errorf("epoch %d is pruned below %d, and the hub never said that it had more than %d", e.Epoch, e.Pruned, w.hub.claimed[e.Epoch])
		}
	}
}

// verify re-checks the box's log with what is left of it, and what is not left by the receipts.
func (w *world) verify() (report audit.Report) {
	w.t.Helper()
	ctx := context.Background()
	c, err := store.OpenCopy(ctx, w.path)
	must(w.t, err)
	defer c.Close()
	receipts, err := c.Receipts(ctx)
	must(w.t, err)
	v := audit.NewVerifier(w.db.Head())
	for _, r := range receipts {
		head, _, err := uplink.OpenStored(r.Stored, w.keys.box, w.keys.hub)
		must(w.t, err)
		v.Pruned(head)
	}
	report, err = c.Verify(ctx, v)
	must(w.t, err)
	if report.Bad != nil {
		w.t.Errorf("the box's log does not verify: %s", report.Bad)
	}
	return report
}

// newest is the newest epoch of the box's log.
func (w *world) newest() audit.Outgoing {
	w.t.Helper()
	log, err := w.db.Outgoing(context.Background())
	must(w.t, err)
	return log[len(log)-1]
}

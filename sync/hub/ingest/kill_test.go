package ingest_test

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/sumdb/note"

	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/ingest"
	"tapward/sync/uplink"
)

// hubProcess asks the test binary to be a hub: URLs of the broker and of the database, and a box's log key.
const hubProcess = "TAPWARD_INGEST_HUB"

// connected is a broker that outlives the hub.
type connected struct{ js jetstream.JetStream }

func (c connected) JetStream() jetstream.JetStream { return c.js }

func (c connected) Ready() <-chan struct{} {
	ready := make(chan struct{})
	close(ready)
	return ready
}

// seeded is the same key in parent and child.
func seeded(t string) (note.Signer, note.Verifier) {
	seed := sha256.Sum256([]byte(t))
	return hubKey(rand.NewChaCha8(seed))
}

func ingestUntilKilled() bool {
	parts := strings.Split(os.Getenv(hubProcess), "\n")
	if len(parts) != 3 {
		return false
	}
	connection, err := nats.Connect(parts[0])
	must(err)
	js, err := jetstream.New(connection)
	must(err)
	db, err := database.Open(context.Background(), parts[1])
	must(err)
	key, err := note.NewVerifier(parts[2])
	must(err)
	boxes := &allowed{keys: map[uplink.Address][]note.Verifier{newBox("box-1").origin.Address: {key}}}
	signer, _ := seeded("hub")
	i, err := ingest.New(ingest.Config{
		Broker: connected{js}, Archive: archive.New(db, archive.Retention{}, quiet()), Boxes: boxes, Database: db,
		Stored: signer, Logger: quiet(),
	})
	must(err)
	must(i.Run(context.Background()))
	return true
}

// newBroker is a broker in this process that others can reach, with the streams of a real one.
func newBroker(t *testing.T) (url string, js jetstream.JetStream) {
	t.Helper()
	dir, err := os.MkdirTemp(databasetest.Memory, "tapward-broker-")
	must(err)
	t.Cleanup(func() { must(os.RemoveAll(dir)) })
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	must(err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the broker is not ready")
	}
	connection, err := nats.Connect(s.ClientURL())
	must(err)
	t.Cleanup(connection.Close)
	js, err = jetstream.New(connection)
	must(err)
	for name, subject := range map[string]string{
		uplink.AuditStream:                        "tapward.audit.*.*",
		uplink.BucketStream(uplink.ReceiptBucket): uplink.BucketSubject(uplink.ReceiptBucket, ">"),
	} {
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}, AllowDirect: true, DenyDelete: true, DenyPurge: true, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 100_000})
		must(err)
	}
	return s.ClientURL(), js
}

// TestReceiptsAreNeverAheadOfTheArchive kills a hub again and again while boxes send: at no time has anybody heard of a
// record as stored that is not in the database.
func TestReceiptsAreNeverAheadOfTheArchive(t *testing.T) {
	const rounds, each = 5, 600
	engines.Each(t, func(t *testing.T, url string) {
		broker, js := newBroker(t)
		b := newBox("box-1")
		bucket, err := js.KeyValue(t.Context(), uplink.ReceiptBucket)
		must(err)
		watch, err := bucket.WatchAll(t.Context())
		must(err)
		defer watch.Stop()
		_, verifier := seeded("hub")
		heard := int64(0)
		for round := range rounds {
			sent := int64(len(b.records))
			for _, p := range b.work(each).bundles(int(sent), 4) {
				if _, err := js.PublishAsync(b.origin.AuditSubject(), p); err != nil {
					t.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
			child := exec.Command("/proc/self/exe")
			child.Env = append(os.Environ(), hubProcess+"="+strings.Join([]string{broker, url, b.public}, "\n"))
			child.Stderr = os.Stderr
			must(child.Start())
			// It is killed at some moment after some receipts of this round, or after the last of all.
			for more := 1 + rand.IntN(4); more > 0 && heard < int64(len(b.records)) || round == rounds-1 && heard < int64(len(b.records)); more-- {
				heard = nextReceipt(t, watch, b, verifier)
			}
			pauseAtRandom()
			must(child.Process.Kill())
			if err := child.Wait(); err == nil || err.Error() != "signal: killed" {
				t.Fatalf("the hub ended by itself: %v", err)
			}
			if entry, err := bucket.Get(t.Context(), b.origin.Key()); err == nil {
				r, err := uplink.ParseReceipt(entry.Value(), b.verifier, verifier)
				must(err)
				heard = max(heard, r.Size)
			}
			size := standing(t, url, b)
			if heard > size {
				t.Fatalf("round %d: a receipt says %d, and %d records are archived", round, heard, size)
			}
			t.Logf("round %d: killed with %d sent, %d archived, %d receipted", round, len(b.records), size, heard)
		}
	})
}

// pauseAtRandom lets the hub come to some point of what follows a receipt.
func pauseAtRandom() {
	timer := time.NewTimer(rand.N(3 * time.Millisecond))
	<-timer.C
}

func nextReceipt(t *testing.T, watch jetstream.KeyWatcher, b *box, hub note.Verifier) int64 {
	t.Helper()
	for {
		select {
		case entry := <-watch.Updates():
			if entry == nil {
				continue
			}
			r, err := uplink.ParseReceipt(entry.Value(), b.verifier, hub)
			must(err)
			if r.Refused != "" {
				t.Fatalf("an honest box is refused: %s", r.Refused)
			}
			return r.Size
		case <-time.After(20 * time.Second):
			t.Fatal("no receipt comes")
		}
	}
}

// standing opens the database as it was left behind, and checks what is in it.
func standing(t *testing.T, url string, b *box) int64 {
	t.Helper()
	db, err := database.Open(t.Context(), url)
	must(err)
	defer db.Close()
	a := archive.New(db, archive.Retention{}, quiet())
	s, err := a.Standing(t.Context(), b.origin)
	must(err)
	b.archived(t, a, int(s.Size))
	if gaps, err := a.Gaps(t.Context()); err != nil || len(gaps) > 0 {
		t.Errorf("gaps %+v, %v", gaps, err)
	}
	incidents, err := a.Incidents(t.Context(), true, 10)
	if err != nil || len(incidents) > 0 {
		t.Errorf("incidents %+v, %v", incidents, err)
	}
	return s.Size
}

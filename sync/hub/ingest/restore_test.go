package ingest_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tapward/gateway/audit"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/ingest"
	"tapward/sync/uplink"
)

// backup copies a database as a hospital does, and gives the way to put the copy back into a new one.
func backup(t *testing.T, url string) (restore func() string) {
	t.Helper()
	db, err := database.Open(t.Context(), url)
	must(err)
	defer db.Close()
	if db.Dialect == database.SQLite {
		file := filepath.Join(t.TempDir(), "last-night")
		must(db.Backup(t.Context(), file))
		copied, err := os.ReadFile(file)
		must(err)
		return func() string {
			again := filepath.Join(t.TempDir(), "hub.db")
			must(os.WriteFile(again, copied, 0o600))
			return "sqlite:" + again
		}
	}
	server := engines.Server(t)
	dump, err := server.Run("pg_dump", databasetest.Name(url))
	must(err)
	return func() string {
		restored := engines.PostgreSQL(t)
		in := filepath.Join(databasetest.Memory, "tapward-"+databasetest.Name(restored)+".sql")
		must(os.WriteFile(in, []byte(dump), 0o644))
		defer os.Remove(in)
		if _, err := server.Run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", in, databasetest.Name(restored)); err != nil {
			t.Fatal(err)
		}
		return restored
	}
}

// TestAHubRestoredFromABackupHasEverythingAgain: boxes had receipts for what the restored database lacks.
func TestAHubRestoredFromABackupHasEverythingAgain(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		s := newStage(t)
		h := s.hub(url, func(c *ingest.Config) { c.Stored = s.earlier })
		known, later := s.box("known").work(100), s.box("later")
		s.send(known, known.bundles(0, 50)...)
		s.stored(known, 100)
		h.stop()
		restore := backup(t, url)
		h = s.hub(url, nil)
		known.work(200)
		later.work(80)
		second := later.next(audit.EvidenceLost, "", later.headAt(80)).work(19)
		s.send(known, known.bundles(100, 50)...)
		s.send(later, later.bundles(0, 40)...)
		s.send(later, second.bundle(0, 20))
		s.stored(known, 300)
		s.stored(second, 20)
		h.stop()

		t.Run("the broker still has the messages", func(t *testing.T) {
			s := s.of(t)
			h := s.hub(restore(), nil)
			defer h.stop()
			// Not by receipts, which say nothing new: by what is archived.
			for h.Counts().Records < 300 {
				runtime.Gosched()
			}
			known.archived(t, h.archive, 300)
			later.archived(t, h.archive, 80)
			second.archived(t, h.archive, 20)
			s.stored(known, 300)
			s.stored(second, 20)
		})

		t.Run("the broker lost them", func(t *testing.T) {
			s := s.of(t)
			js := s.broker.JetStream()
			recreate(t, js, uplink.AuditStream)
			now := time.Now().Truncate(time.Second)
			h := s.hub(restore(), nil)
			defer h.stop()
			r := s.receipt(known, "that records from 100 on are wanted", func(r uplink.Receipt) bool { return r.Resend && r.Size == 100 })
			if _, at, err := uplink.OpenStored(r.Stored, known.verifier, s.verifier); err != nil || at.Before(now) {
				t.Errorf("it was cosigned at %s, %v: a box takes it for an old one", at, err)
			}
			s.receipt(later, "that all is wanted", func(r uplink.Receipt) bool { return r.Epoch == 1 && r.Resend && r.Size == 0 })
			s.send(known, known.bundles(100, 50)...)
			s.send(later, later.bundles(0, 40)...)
			s.send(later, second.bundle(0, 20))
			s.stored(known, 300)
			s.stored(second, 20)
			known.archived(t, h.archive, 300)
			later.archived(t, h.archive, 80)
			second.archived(t, h.archive, 20)
		})

		t.Run("the broker lost the receipts as well", func(t *testing.T) {
			s := s.of(t)
			js := s.broker.JetStream()
			for _, name := range []string{uplink.AuditStream, uplink.BucketStream(uplink.ReceiptBucket)} {
				recreate(t, js, name)
			}
			h := s.hub(restore(), nil)
			defer h.stop()
			s.receipt(known, "that records from 100 on are wanted", func(r uplink.Receipt) bool { return r.Resend && r.Size == 100 })
			s.send(later, second.bundle(10, 20)) // it goes on from its own receipts
			s.receipt(second, "that all is wanted", func(r uplink.Receipt) bool { return r.Epoch == 2 && r.Resend && r.Size == 0 })
			s.send(later, second.bundle(0, 20))
			s.receipt(later, "that the epoch before is wanted", func(r uplink.Receipt) bool { return r.Epoch == 1 && r.Resend })
			s.send(later, later.bundles(0, 40)...)
			s.send(later, second.bundle(0, 20))
			s.send(known, known.bundles(100, 50)...)
			s.stored(known, 300)
			s.stored(second, 20)
			known.archived(t, h.archive, 300)
			later.archived(t, h.archive, 80)
			second.archived(t, h.archive, 20)
		})
	})
}

// TestAStreamThatIsMadeAnewIsReadFromItsBeginning: sequences of messages begin anew under a running hub.
func TestAStreamThatIsMadeAnewIsReadFromItsBeginning(t *testing.T) {
	s := newStage(t)
	h := s.hub(databasetest.SQLite(t), nil)
	b := s.box("box-1").work(100)
	s.send(b, b.bundles(0, 5)...)
	s.stored(b, 100)
	recreate(t, s.broker.JetStream(), uplink.AuditStream)
	b.work(10)
	s.send(b, b.bundle(100, 110))
	s.stored(b, 110)
	b.archived(t, h.archive, 110)
}

func recreate(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	must(err)
	config := stream.CachedInfo().Config
	must(js.DeleteStream(t.Context(), name))
	_, err = js.CreateStream(t.Context(), config)
	must(err)
}

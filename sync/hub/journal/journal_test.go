package journal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/journal"
	"tapward/sync/uplink"
)

var engines databasetest.Engines

func TestMain(m *testing.M) { engines.Main(m) }

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// keys are a hub's log key and cosigner.
type keys struct {
	log, stored note.Signer
	public, hub note.Verifier
}

func newKeys(t *testing.T) (k keys) {
	t.Helper()
	secret, public, err := audit.NewKey(rand.Reader, journal.Box)
	if err != nil {
		t.Fatal(err)
	}
	k.log, k.public = must[note.Signer](t)(note.NewSigner(secret)), must[note.Verifier](t)(note.NewVerifier(public))
	secret, public, err = note.GenerateKey(rand.Reader, "hub/stored")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := uplink.NewStoredSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	k.stored, k.hub = signer, must[note.Verifier](t)(uplink.NewStoredVerifier(public))
	return k
}

func open(t *testing.T, url string) *archive.Archive {
	t.Helper()
	db := must[*database.DB](t)(database.Open(t.Context(), url))
	t.Cleanup(func() { db.Close() })
	return archive.New(db, archive.Retention{}, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// TestTwoHubsWriteOneLog: every record lands once, whoever writes it, and the whole verifies.
func TestTwoHubsWriteOneLog(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		k := newKeys(t)
		const each = 10
		var hubs sync.WaitGroup
		for range 2 {
			j := journal.New(journal.Config{Site: "site-1", Archive: open(t, url), Log: k.log, Public: k.public, Stored: k.stored})
			hubs.Go(func() {
				for range each {
					if err := j.Record(context.Background(), gateway.Record{Kind: gateway.OperatorActed, Operator: "person-1"}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		hubs.Wait()

		a := open(t, url)
		origin := archive.Origin{Address: uplink.Address{Site: "site-1", Box: journal.Box}, Epoch: 1}
		standing := must[archive.Standing](t)(a.Standing(t.Context(), origin))
		head, _, err := uplink.OpenStored(standing.Stored, k.public, k.hub)
		if err != nil || head.Size != 2*each {
			t.Fatalf("stored %d records, want %d: %v", head.Size, 2*each, err)
		}
		v := audit.NewVerifier(head)
		if _, err := v.Epoch(1, a.Records(t.Context(), origin, 0)); err != nil {
			t.Fatal(err)
		}
		if report := v.Finish(); report.Bad != nil || report.Records != 2*each || report.Openings != 2*each {
			t.Errorf("report %+v", report)
		}
	})
}

// TestRecordThatCannotBeMadeIsAnError: a log key of another name signs nothing, and nothing is stored.
func TestRecordThatCannotBeMadeIsAnError(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		k, a := newKeys(t), open(t, url)
		secret, _, err := audit.NewKey(bytes.NewReader(make([]byte, 64)), "box-1")
		if err != nil {
			t.Fatal(err)
		}
		k.log = must[note.Signer](t)(note.NewSigner(secret))
		j := journal.New(journal.Config{Site: "site-1", Archive: a, Log: k.log, Public: k.public, Stored: k.stored})
		if err := j.Record(t.Context(), gateway.Record{Kind: gateway.OperatorActed}); err == nil {
			t.Error("recorded with another's key")
		}
		if origins := must[[]archive.Standing](t)(a.Origins(t.Context())); len(origins) > 0 {
			t.Errorf("stored %v", origins)
		}
	})
}

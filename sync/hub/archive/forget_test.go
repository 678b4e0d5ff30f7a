package archive_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
)

// TestForgettingAPersonBreaksNoProof erases one person: they are gone from records, searches and evidence, the others are
// not, and the log verifies to its end.
func TestForgettingAPersonBreaksNoProof(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		a, b, ctx := open(t, url), newBox("box-1").work(100), t.Context()
		b.write(gateway.Record{Kind: gateway.SessionOpened, Clinician: "c-secret-77", Previous: "c-1", Words: "about the secret one"})
		b.send(t, a, 0, 50, start)
		b.send(t, a, 50, 101, start.AddDate(0, 1, 0))
		raise(t, a, b, b.bundle(98, 101), true)
		raise(t, a, b, []byte("no bundle at all"), false)

		forgotten, err := a.Forget(ctx, "c-secret-77")
		if err != nil || forgotten != (archive.Forgotten{Openings: 2, Evidence: 1, Unread: 1}) {
			t.Errorf("took %+v, %v", forgotten, err)
		}
		// Each of the five is in 40 of the 100 records; another person shares each record; words and receipts go with them.
		// c-1 is also the one before in the record above.
		if forgotten, err = a.Forget(ctx, "c-1"); err != nil || forgotten.Openings != 41+40+40 {
			t.Errorf("took %+v, %v", forgotten, err)
		}
		if report := b.verify(t, a, 101); report.Forgotten != 2+121 || report.Openings != 403-123 {
			t.Errorf("%d openings, %d forgotten", report.Openings, report.Forgotten)
		}
		for _, gone := range []gateway.ClinicianID{"c-1", "c-secret-77"} {
			if found, err := a.Search(ctx, archive.Query{Clinician: gone, Limit: 10}); err != nil || len(found) != 0 {
				t.Errorf("%d records of %s, %v", len(found), gone, err)
			}
		}
		if found, err := a.Search(ctx, archive.Query{Clinician: "c-2", Limit: 1000}); err != nil || len(found) != 40 {
			t.Errorf("%d records of somebody else, %v", len(found), err)
		}
		records, err := a.Since(ctx, 100, 1)
		if err != nil || len(records) != 1 || !slices.Equal(records[0].Forgotten, []audit.Field{audit.Clinician, audit.Previous, audit.Words}) {
			t.Errorf("record 100: %+v, %v", records, err)
		}
		incidents, err := a.Incidents(ctx, false, 10)
		if err != nil || len(incidents) != 2 {
			t.Fatalf("%+v, %v", incidents, err)
		}
		evidence, err := a.Evidence(ctx, incidents[1].ID)
		if err != nil || bytes.Contains(evidence, []byte("c-secret-77")) {
			t.Errorf("the evidence still names the person, %v", err)
		}
		if bundle, err := audit.DecodeBundle(evidence); err != nil {
			t.Error(err)
		} else if head, _, err := bundle.Open(b.verifier); err != nil || head != b.tree.Head() {
			t.Errorf("the evidence proves nothing any more: %v", err)
		}
		if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
			for _, name := range []string{path, path + "-wal"} {
				if file, err := os.ReadFile(name); err != nil || bytes.Contains(file, []byte("secret")) {
					t.Errorf("%s still holds the person, %v", name, err)
				}
			}
		}
	})
}

// bundle is the message with the records from to to.
func (b *box) bundle(from, to int) []byte {
	var records []audit.Sealed
	for _, r := range b.records[from:to] {
		records = append(records, r.Sealed)
	}
	bundle, err := audit.NewBundle(b.origin.Box, b.origin.Epoch, records, b, b.signer)
	must(err)
	out, err := bundle.Encode()
	must(err)
	return out
}

func raise(t testing.TB, a *archive.Archive, b *box, evidence []byte, quarantines bool) archive.Incident {
	t.Helper()
	i, err := a.Raise(t.Context(), archive.Incident{Origin: b.origin, Reason: audit.Forked, What: "it does not continue",
		Quarantines: quarantines, Evidence: evidence, Last: start})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

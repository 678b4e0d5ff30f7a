package archive_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
)

const day = 24 * time.Hour

// TestRetentionTakesMonths archives over four months, a clock that goes back among them, and sweeps: openings and bodies
// go by whole months, the tree stays, and the log goes on.
func TestRetentionTakesMonths(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		db, ctx := openDatabase(t, url), t.Context()
		a := archive.New(db, archive.Retention{Bodies: 60 * day, Openings: 20 * day}, quiet())
		b, late := newBox("box-1").work(60), newBox("box-2").work(10)
		for i, at := range []string{"2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z", "2026-10-15T00:00:00Z", "2026-12-24T00:00:00Z", "2027-01-05T00:00:00Z"} {
			b.send(t, a, i*10, i*10+10, parseTime(t, at))
		}
		late.send(t, a, 0, 10, parseTime(t, "2026-10-01T00:00:00Z"))

		for _, step := range []struct {
			now                      string
			swept                    archive.Swept
			kept, lateKept, openings int64
		}{
			{"2026-11-30T00:00:00Z", archive.Swept{Openings: 1}, 0, 0, 160},
			{"2026-12-28T00:00:00Z", archive.Swept{Openings: 1}, 0, 0, 80},
			{"2026-12-31T00:00:00Z", archive.Swept{Bodies: 1}, 10, 10, 80},
			{"2026-12-31T00:00:00Z", archive.Swept{}, 10, 10, 80},
			{"2027-02-20T00:00:00Z", archive.Swept{Bodies: 1, Openings: 1}, 30, 10, 40},
			{"2028-01-01T00:00:00Z", archive.Swept{Bodies: 2, Openings: 1}, 50, 10, 0},
		} {
			swept, err := a.Sweep(ctx, parseTime(t, step.now))
			if err != nil || swept != step.swept {
				t.Errorf("%s: took %+v, %v; want %+v", step.now, swept, err, step.swept)
			}
			kept, err := a.Kept(ctx, b.origin)
			lateKept, err2 := a.Kept(ctx, late.origin)
			if err != nil || err2 != nil || kept != step.kept || lateKept != step.lateKept {
				t.Errorf("%s: kept from %d and %d, %v, %v", step.now, kept, lateKept, err, err2)
			}
			var openings int64
			if err := db.QueryRow(`SELECT count(*) FROM opening WHERE origin = (SELECT id FROM origin WHERE box = 'box-1')`).Scan(&openings); err != nil || openings != step.openings {
				t.Errorf("%s: %d openings, %v", step.now, openings, err)
			}
			if records, err := a.Since(ctx, 0, 1000); err != nil || int64(len(records)) != 50-step.kept+10-step.lateKept {
				t.Errorf("%s: %d records in order, %v", step.now, len(records), err)
			}
			if gaps, err := a.Gaps(ctx); err != nil || len(gaps) != 0 {
				t.Errorf("%s: gaps %+v, %v", step.now, gaps, err)
			}
		}
		records, err := a.Leaves(ctx, b.origin, 0, 100)
		if err != nil || len(records) != 50 || records[49].Leaf != nil || len(records[49].Hashes) != len(b.records[49].Hashes) {
			t.Fatalf("%d records, %v", len(records), err)
		}
		if proof, err := tlog.ProveRecord(50, 7, a.Hashes(ctx, b.origin)); err != nil ||
			tlog.CheckRecord(proof, 50, tlog.Hash(b.headAt(50).Root), 7, b.records[7].Hashes[0]) != nil {
			t.Errorf("a record that is gone can no longer be proven: %v", err)
		}
		b.send(t, a, 50, 60, parseTime(t, "2028-01-02T00:00:00Z"))
		if tree, err := a.Tree(ctx, b.origin); err != nil || tree.Head() != b.tree.Head() {
			t.Errorf("tree of %d, %v", tree.Size(), err)
		}
		if kept, err := a.Kept(ctx, b.origin); err != nil || kept != 50 {
			t.Errorf("kept from %d, %v", kept, err)
		}
	})
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestANewMonthWaitsForNoDump holds what pg_dump holds while a month begins.
func TestANewMonthWaitsForNoDump(t *testing.T) {
	db := openDatabase(t, engines.PostgreSQL(t))
	a, b := archive.New(db, archive.Retention{}, quiet()), newBox("box-1").work(20)
	b.send(t, a, 0, 10, start)
	dump, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer dump.Rollback()
	if _, err := dump.Exec(`LOCK TABLE body, opening, leaf, batch, origin IN ACCESS SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	b.send(t, a, 10, 20, start.AddDate(0, 1, 0))
	b.verify(t, a, 20)
}

// TestADropThatWasCutOffIsFinished leaves a partition detached, as a crash between the two steps would.
func TestADropThatWasCutOffIsFinished(t *testing.T) {
	db := openDatabase(t, engines.PostgreSQL(t))
	a, b := archive.New(db, archive.Retention{Bodies: 30 * day}, quiet()), newBox("box-1").work(10)
	b.send(t, a, 0, 10, start)
	if _, err := db.Exec(`ALTER TABLE body DETACH PARTITION body_202610`); err != nil {
		t.Fatal(err)
	}
	if swept, err := a.Sweep(t.Context(), start.AddDate(1, 0, 0)); err != nil || swept != (archive.Swept{Bodies: 1, Openings: 1}) {
		t.Errorf("took %+v, %v", swept, err)
	}
	var left int
	if err := db.QueryRow(`SELECT count(*) FROM pg_class WHERE relname LIKE '%202610' AND relkind = 'r'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d tables are left, %v", left, err)
	}
}

// TestADetachThatWasCutOffIsFinished cancels a sweep while it waits for somebody who reads.
func TestADetachThatWasCutOffIsFinished(t *testing.T) {
	db := openDatabase(t, engines.PostgreSQL(t))
	a, b := archive.New(db, archive.Retention{Bodies: 30 * day}, quiet()), newBox("box-1").work(20)
	b.send(t, a, 0, 10, start)
	reader, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback()
	if _, err := reader.Exec(`SELECT count(*) FROM opening`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	swept := make(chan error)
	go func() {
		_, err := a.Sweep(ctx, start.AddDate(1, 0, 0))
		swept <- err
	}()
	for pending := 0; pending == 0; {
		if err := db.QueryRow(`SELECT count(*) FROM pg_inherits WHERE inhdetachpending`).Scan(&pending); err != nil {
			t.Fatal(err)
		}
	}
	b.send(t, a, 10, 20, start.AddDate(0, 12, 0)) // nobody who appends waits
	cancel()
	if err := <-swept; err == nil {
		t.Error("the sweep ended although somebody still read")
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if swept, err := a.Sweep(t.Context(), start.AddDate(1, 0, 0)); err != nil || swept != (archive.Swept{Bodies: 1, Openings: 1}) {
		t.Errorf("took %+v, %v", swept, err)
	}
	if kept, err := a.Kept(t.Context(), b.origin); err != nil || kept != 10 {
		t.Errorf("kept from %d, %v", kept, err)
	}
}

// TestRunSweepsAgainAndAgain lets two months pass, and ends with its context.
func TestRunSweepsAgainAndAgain(t *testing.T) {
	url := databasetest.SQLite(t)
	b := newBox("box-1").work(10)
	synctest.Test(t, func(t *testing.T) {
		db, err := database.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		a := archive.New(db, archive.Retention{Bodies: 10 * day}, quiet())
		b.send(t, a, 0, 10, time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		for _, want := range []int64{0, 10} {
			if kept, err := a.Kept(t.Context(), b.origin); err != nil || kept != want {
				t.Errorf("%s: kept from %d, %v", time.Now(), kept, err)
			}
			time.Sleep(60 * day)
			synctest.Wait()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

package fhir_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/export"
	"tapward/sync/hub/export/exporttest"
	"tapward/sync/hub/export/fhir"
)

// TestEachRecordOnceOverABadWay exports through a way that loses two of three answers, with the record, or without, and one
// record that the repository refuses. Everything else is there, once.
func TestEachRecordOnceOverABadWay(t *testing.T) {
	db, err := database.Open(t.Context(), databasetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w := newWay(t)
	var turn atomic.Int64
	w.be(func(response http.ResponseWriter, request *http.Request, repository http.Handler) {
		switch turn.Add(1) % 3 {
		case 0:
			repository.ServeHTTP(response, request)
		case 1:
			repository.ServeHTTP(httptest.NewRecorder(), request)
			fallthrough
		case 2:
			panic(http.ErrAbortHandler)
		}
	})
	archive, all := &exporttest.Archive{}, records(t, "bad-way", 60)
	all[33] = bad(all[33])
	archive.Add(all...)
	e, err := export.New(export.Config{
		Database: db, Archive: archive, Logger: slog.New(slog.DiscardHandler),
		Feeds: []export.Feed{{Name: "arr", Target: w.feed(), Batch: 7}},
		Poll:  time.Millisecond, First: time.Millisecond, Most: 2 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	standing := arrived(t, e, 60)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if standing.Delivered != 59 || standing.Dead != 1 {
		t.Errorf("stands at %+v", standing)
	}
	for i, r := range all {
		want := 1
		if i == 33 {
			want = 0
		}
		if byID, named := stored(t, r); byID != want || named != want {
			t.Errorf("%s is there %d times", r.Name(), named)
		}
	}
	if dead, err := e.Dead(t.Context(), "arr", 0, 10); err != nil || len(dead) != 1 || dead[0].Record != all[33].Name() {
		t.Errorf("dead letters %+v, %v", dead, err)
	}
}

// arrived waits until the only feed has come to a place.
func arrived(t *testing.T, e *export.Exporter, place int64) export.Standing {
	t.Helper()
	tick, end := time.NewTicker(5*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for {
		all, err := e.Standings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 1 && all[0].Place == place {
			return all[0]
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("the feed stands at %+v", all)
		}
	}
}

var _ export.Target = (*fhir.Feed)(nil)

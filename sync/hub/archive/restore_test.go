package archive_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
)

// TestRestoredFromABackup puts last night's copy in place: it is whole as of then, says so, and takes again what came
// after, to the same archive as before.
func TestRestoredFromABackup(t *testing.T) {
	for name, engine := range map[string]struct {
		url    string
		backup func(t *testing.T, db *database.DB, url string) (restored func() string)
	}{
		"postgres": {engines.PostgreSQL(t), backupPostgreSQL},
		"sqlite":   {databasetest.SQLite(t), backupSQLite},
	} {
		t.Run(name, func(t *testing.T) {
			db, b, ctx := openDatabase(t, engine.url), newBox("box-1").work(100), t.Context()
			a := archive.New(db, archive.Retention{}, quiet())
			b.send(t, a, 0, 40, start)
			b.send(t, a, 40, 60, start.AddDate(0, 1, 0))
			raise(t, a, newBox("box-2"), []byte("evidence"), true)
			restore := engine.backup(t, db, engine.url)
			b.send(t, a, 60, 100, start.AddDate(0, 2, 0))
			before, err := a.Since(ctx, 0, 1000)
			if err != nil {
				t.Fatal(err)
			}

			again := open(t, restore())
			b.verify(t, again, 60)
			if incidents, err := again.Incidents(ctx, false, 10); err != nil || len(incidents) != 1 {
				t.Errorf("%d incidents, %v", len(incidents), err)
			}
			b.send(t, again, 60, 100, start.AddDate(0, 2, 0))
			b.verify(t, again, 100)
			if after, err := again.Since(ctx, 0, 1000); err != nil || !reflect.DeepEqual(after, before) {
				t.Errorf("the archive now holds %d records instead of %d, or others; %v", len(after), len(before), err)
			}
			if gaps, err := again.Gaps(ctx); err != nil || len(gaps) != 0 {
				t.Errorf("gaps %+v, %v", gaps, err)
			}
		})
	}
}

func backupPostgreSQL(t *testing.T, _ *database.DB, url string) func() string {
	server, dump := engines.Server(t), filepath.Join(databasetest.Memory, databasetest.Name(url)+".dump")
	run := func(program string, args ...string) {
		t.Helper()
		if _, err := server.Run(program, args...); err != nil {
			t.Fatal(err)
		}
	}
	run("pg_dump", "--format=custom", "--file="+dump, databasetest.Name(url))
	t.Cleanup(func() { os.Remove(dump) })
	return func() string {
		restored := engines.PostgreSQL(t)
		run("pg_restore", "--exit-on-error", "--dbname="+databasetest.Name(restored), dump)
		return restored
	}
}

func backupSQLite(t *testing.T, db *database.DB, _ string) func() string {
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := db.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	return func() string { return "sqlite:" + copied }
}

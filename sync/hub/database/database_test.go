package database_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mattn/go-sqlite3"

	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
)

var engines databasetest.Engines

func TestMain(m *testing.M) { engines.Main(m) }

func open(t *testing.T, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestParametersGoByTheirNumber mentions them out of order, and twice, which SQLite's driver by itself gets wrong.
func TestParametersGoByTheirNumber(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		const query = `SELECT CAST($3 AS TEXT) || CAST($1 AS TEXT) || CAST($2 AS TEXT) || CAST($3 AS TEXT)`
		stmt, err := db.Prepare(query)
		if err != nil {
			t.Fatal(err)
		}
		defer stmt.Close()
		tx, err := db.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		var plain, prepared, within string
		if err := db.QueryRow(query, "a", "b", "c").Scan(&plain); err != nil || plain != "cabc" {
			t.Errorf("%q, %v", plain, err)
		}
		if err := stmt.QueryRow("a", "b", "c").Scan(&prepared); err != nil || prepared != "cabc" {
			t.Errorf("%q, %v", prepared, err)
		}
		if err := tx.QueryRow(query, "a", "b", "c").Scan(&within); err != nil || within != "cabc" {
			t.Errorf("%q, %v", within, err)
		}
		if _, err := db.Exec(`CREATE TABLE pair (a TEXT, b TEXT)`); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(`INSERT INTO pair (b, a) VALUES ($2, $1)`, "first", "second"); err != nil {
			t.Fatal(err)
		}
		var a, b string
		if err := db.QueryRow(`SELECT a, b FROM pair`).Scan(&a, &b); err != nil || a != "first" || b != "second" {
			t.Errorf("%q, %q, %v", a, b, err)
		}
	})
}

// TestSeveralOpenAtOnce lets programs race to be the one that migrates, and opens once more what is up to date.
func TestSeveralOpenAtOnce(t *testing.T) {
	url := engines.PostgreSQL(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			db, err := database.Open(t.Context(), url)
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestBothEnginesHaveTheSameMigrations holds that no room forgets one of the two.
func TestBothEnginesHaveTheSameMigrations(t *testing.T) {
	var names [2]string
	for i, folder := range []string{"sql/postgres", "sql/sqlite"} {
		files, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			names[i] += f.Name() + "\n"
		}
	}
	if names[0] != names[1] {
		t.Errorf("PostgreSQL has\n%sSQLite has\n%s", names[0], names[1])
	}
}

// TestASnapshotStandsStill reads while somebody writes, and makes nobody wait.
func TestASnapshotStandsStill(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		if _, err := db.Exec(`CREATE TABLE number (n BIGINT)`); err != nil {
			t.Fatal(err)
		}
		tx, err := db.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		count := func() (n int) {
			if err := tx.QueryRow(`SELECT count(*) FROM number`).Scan(&n); err != nil {
				t.Error(err)
			}
			return n
		}
		before := count()
		if _, err := db.Exec(`INSERT INTO number VALUES ($1)`, 7); err != nil {
			t.Fatal(err)
		}
		if after := count(); before != 0 || after != 0 {
			t.Errorf("it saw %d rows and then %d", before, after)
		}
		if _, err := tx.Exec(`INSERT INTO number VALUES (8)`); err == nil {
			t.Error("a snapshot wrote")
		}
	})
}

func TestRefusedURLs(t *testing.T) {
	server := engines.PostgreSQL(t)
	for what, c := range map[string]struct{ url, says string }{
		"nothing":           {"", "postgres:// or sqlite:"},
		"another engine":    {"mysql://hub", "postgres:// or sqlite:"},
		"no file":           {"sqlite:", "names no file"},
		"no folder":         {"sqlite:" + filepath.Join(t.TempDir(), "nowhere", "hub.db"), "no such file"},
		"a password":        {"postgres://hub:sesame@db.example:port/hub", "cannot parse"},
		"nobody there":      {"postgres:///hub?host=" + t.TempDir(), "connect"},
		"early acknowledge": {server + "&options=-c%20synchronous_commit%3Doff", "synchronous_commit is off"},
	} {
		db, err := database.Open(t.Context(), c.url)
		if err == nil {
			db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestTheFileIsPrivate is about the file, what lies beside it, and its backup.
func TestTheFileIsPrivate(t *testing.T) {
	url := databasetest.SQLite(t)
	db, path := open(t, url), strings.TrimPrefix(url, "sqlite:")
	if _, err := db.Exec(`CREATE TABLE number (n BIGINT)`); err != nil {
		t.Fatal(err)
	}
	backup := path + ".backup"
	if err := db.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm", backup} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	copied := open(t, "sqlite:"+backup)
	if _, err := copied.Exec(`INSERT INTO number VALUES (1)`); err != nil {
		t.Error(err)
	}
	if err := db.Backup(t.Context(), backup); err == nil {
		t.Error("a backup was written over another")
	}
}

// TestAnotherProgramsFileIsLeftAlone is about a path that was mistaken, for a ward box's own log for one.
func TestAnotherProgramsFileIsLeftAlone(t *testing.T) {
	for _, query := range []string{`PRAGMA application_id = 1414551364`, `CREATE TABLE leaf (id INTEGER)`} {
		path := filepath.Join(t.TempDir(), "box.db")
		other := sql.OpenDB(plain(path))
		if _, err := other.Exec(query); err != nil {
			t.Fatal(err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		if db, err := database.Open(t.Context(), "sqlite:"+path); err == nil || !strings.Contains(err.Error(), "another program") {
			t.Errorf("%s: opened %v, %v", query, db, err)
		}
	}
}

// plain makes connections of SQLite's driver as it is.
type plain string

func (p plain) Connect(context.Context) (driver.Conn, error) {
	return (&sqlite3.SQLiteDriver{}).Open(string(p))
}

func (plain) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

func TestDatabaseIsOfOneHub(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		db, err := database.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for range 2 {
			if err := db.Claim(t.Context(), "keys of the first"); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Claim(t.Context(), "keys of another"); err == nil {
			t.Error("another hub may use it too")
		}
	})
}

package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"

	"tapward/gateway/store"
)

// alter changes a database behind the store's back.
func alter(t testing.TB, path, query string, args ...any) {
	t.Helper()
	if err := change(path, query, args...); err != nil {
		t.Fatal(err)
	}
}

func change(path, query string, args ...any) (err error) {
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.Exec(query, args...)
	return err
}

// ward makes a closed database with some records.
func ward(t testing.TB, records int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	add(t, s, records)
	shut(t, s)
	return path
}

func TestOpenRefusesAndWritesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(t *testing.T, path string)
		change func(*store.Config)
		want   string
	}{
		"no database":         {func(t *testing.T, p string) { remove(t, p) }, func(c *store.Config) { c.Create = false }, "there is no database at"},
		"an empty file":       {func(t *testing.T, p string) { truncate(t, p, 0) }, nil, "is empty: the database was lost"},
		"half a header":       {func(t *testing.T, p string) { truncate(t, p, 50) }, nil, "Keep it as evidence"},
		"another format":      {func(t *testing.T, p string) { overwrite(t, p, 0, "%PDF") }, nil, "is not an SQLite database"},
		"another program's":   {func(t *testing.T, p string) { alter(t, p, "PRAGMA application_id = 7") }, nil, "database of another program"},
		"another box's":       {nil, func(c *store.Config) { c.Box = "box-2" }, "belongs to box box-1 and this is box box-2"},
		"two releases ahead":  {func(t *testing.T, p string) { setSchema(t, p, 4) }, nil, "schema version 4 and this program knows 2 and bears 3"},
		"a damaged page":      {func(t *testing.T, p string) { overwrite(t, p, 3*4096, strings.Repeat("\xff", 512)) }, nil, "Keep it as evidence"},
		"a file cut short":    {func(t *testing.T, p string) { truncate(t, p, 5*4096) }, nil, "Keep it as evidence"},
		"no box name":         {nil, func(c *store.Config) { c.Box = "" }, "must be given"},
		"no folder":           {nil, func(c *store.Config) { c.Path = filepath.Join(filepath.Dir(c.Path), "none", "ward.db") }, "does not exist; make it first"},
		"a folder as a file":  {nil, func(c *store.Config) { c.Path = filepath.Join(c.Path, "ward.db") }, "not a directory"},
		"a folder as the db":  {func(t *testing.T, p string) { remove(t, p); mkdir(t, p) }, nil, "is a folder"},
		"a key of other name": {nil, func(c *store.Config) { c.Signer, _ = key(t); c.Box = "box-3" }, "belongs to box box-1"},
	} {
		t.Run(name, func(t *testing.T) {
			path := ward(t, 20)
			if c.spoil != nil {
				c.spoil(t, path)
			}
			conf := config(t, path)
			if c.change != nil {
				c.change(&conf)
			}
			before := contents(t, path)
			s, err := store.Open(t.Context(), conf)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want one with %q", err, c.want)
			}
			if after := contents(t, path); after != before {
				t.Error("the file was changed")
			}
		})
	}
}

func TestOpenBearsOneReleaseAhead(t *testing.T) {
	path := ward(t, 3)
	setSchema(t, path, 3)
	alter(t, path, "ALTER TABLE session ADD COLUMN something_new TEXT")
	s := open(t, config(t, path))
	add(t, s, 2)
	if have := load(t, s); len(have.State.Phones) != 2 || have.Head.Size != 5 {
		t.Errorf("have %+v", have)
	}
	shut(t, s)
	mustVerify(t, path)
}

func TestOpenInAFolderThatMayNotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sealed")
	mkdir(t, dir)
	// A read-only mount holds for root too.
	bindReadOnly(t, dir)
	_, err := store.Open(t.Context(), config(t, filepath.Join(dir, "ward.db")))
	if err == nil || !strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("have %v", err)
	}
}

func TestSecondWriterIsToldWhoIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	_, err := store.Open(t.Context(), config(t, path))
	want := fmt.Sprintf("is in use by %s (process %d)", filepath.Base(os.Args[0]), os.Getpid())
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
	shut(t, s)
	shut(t, open(t, config(t, path)))
}

func TestACrashWhileMakingTheDatabaseLeavesNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	for _, leftover := range []string{".new", ".new-wal", ".new-shm"} {
		if err := os.WriteFile(path+leftover, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	conf := config(t, path)
	conf.Create = false
	if _, err := store.Open(t.Context(), conf); err == nil {
		t.Error("a draft was taken for a database")
	}
	s := open(t, config(t, path))
	add(t, s, 1)
	shut(t, s)
	mustVerify(t, path)
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the draft is still there: %v", err)
	}
}

func TestBootCounter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	for i, c := range []struct {
		id   string
		boot uint64
		same bool
	}{{"a", 1, false}, {"a", 1, true}, {"b", 2, false}, {"b", 2, true}, {"a", 3, false}} {
		conf := config(t, path)
		conf.BootID = c.id
		s := open(t, conf)
		if have := load(t, s); have.Boot != c.boot || have.SameBoot != c.same {
			t.Errorf("start %d in boot %s: counter %d, same %v", i, c.id, have.Boot, have.SameBoot)
		}
		shut(t, s)
	}
	conf := config(t, path)
	conf.BootID = "" // the kernel's own
	shut(t, open(t, conf))
	if s := open(t, conf); !load(t, s).SameBoot {
		t.Error("the kernel's boot id changed within a test")
	}
}

// Before 3.51.3, two connections that wrote and checkpointed at once could, very rarely, damage the file.
func TestSQLiteIsNewEnough(t *testing.T) {
	if _, number, _ := sqlite3.Version(); number < 3051003 {
		t.Errorf("SQLite %d is older than 3.51.3", number)
	}
}

func setSchema(t testing.TB, path string, version int) {
	for v := newestSchema(t) + 1; v <= version; v++ {
		alter(t, path, "INSERT INTO schema_version (version_id, is_applied) VALUES (?, 1)", v)
	}
}

// newestSchema is the number of the last migration.
func newestSchema(t testing.TB) int {
	t.Helper()
	files, err := os.ReadDir("sql/migrations")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// contents is everything of a database that must not be touched.
func contents(t testing.TB, path string) string {
	var all strings.Builder
	for _, suffix := range []string{"", "-wal", ".anchor"} {
		b, err := os.ReadFile(path + suffix)
		fmt.Fprintf(&all, "%s %v %q\n", suffix, errors.Is(err, os.ErrNotExist), b)
	}
	return all.String()
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func truncate(t testing.TB, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t testing.TB, path string, at int64, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(text), at); err != nil {
		t.Fatal(err)
	}
}

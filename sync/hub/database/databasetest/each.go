package databasetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Engines gives a package's tests one PostgreSQL server, started when the first of them asks. It belongs in a variable
// of the package's tests, with Main as their TestMain.
type Engines struct {
	start  sync.Once
	server *Server
	failed error
	mu     sync.Mutex
	made   int
}

// Main runs the tests, ends the server and exits.
func (e *Engines) Main(m *testing.M) {
	code := m.Run()
	if e.server != nil {
		if err := e.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "end PostgreSQL:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Server is the PostgreSQL server of the tests.
func (e *Engines) Server(t testing.TB) *Server {
	t.Helper()
	e.start.Do(func() { e.server, e.failed = NewServer(Memory) })
	if e.failed != nil {
		t.Fatal(e.failed)
	}
	return e.server
}

// PostgreSQL is the URL of a new, empty database.
func (e *Engines) PostgreSQL(t testing.TB) string {
	t.Helper()
	s := e.Server(t)
	e.mu.Lock()
	e.made++
	name := fmt.Sprintf("test_%d", e.made)
	e.mu.Unlock()
	if _, err := s.Run("createdb", name); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

// SQLite is the URL of a database in a folder that goes with the test.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "hub.db")
}

// Each runs a test on a new, empty database of each engine.
func (e *Engines) Each(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) { test(t, e.PostgreSQL(t)) })
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
}

// Name is the name of the database in a URL of PostgreSQL.
func Name(url string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(url, "postgres:///"), "?")
	return name
}

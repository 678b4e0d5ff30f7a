package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/isolate"
	"tapward/gateway/session"
	"tapward/gateway/store"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerPath); path != "" {
		writeUntilKilled(path)
		os.Exit(1)
	}
	isolate.Main(m)
}

// config is a small store of box-1 with a signing key, in a boot called boot-1.
func config(t testing.TB, path string) store.Config {
	signer, _ := key(t)
	return store.Config{
		Path: path, Create: true, Box: "box-1", BootID: "boot-1", Signer: signer, Reserve: 64 << 10, LowWater: 64 << 10,
	}
}

// key is a log key of fixed bytes, good for nothing but tests.
func key(t testing.TB) (note.Signer, note.Verifier) {
	t.Helper()
	secret, public, err := audit.NewKey(bytes.NewReader(make([]byte, 64)), "box-1")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

// open opens a store that is closed at the end of the test, or before.
func open(t testing.TB, c store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func shut(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, s *store.Store) store.Stored {
	t.Helper()
	stored, err := s.Load(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// entry is the n-th made-up record.
func entry(n int) audit.Entry {
	return audit.Entry{At: time.Unix(1_700_000_000+int64(n), 0), Uptime: time.Duration(n+1) * time.Second, Record: gateway.Record{
		Kind: gateway.CheckOutRequested, Reader: gateway.ReaderID(fmt.Sprintf("reader-%d", n%2)), Phone: "phone-01",
		Fence: gateway.Fence(n), Clinician: gateway.ClinicianID(fmt.Sprintf("c-made-up-%d", n)), Words: "made-up words",
	}}
}

// add commits n records, one a commit, with a state that changes each time.
func add(t testing.TB, s *store.Store, n int) {
	t.Helper()
	for range n {
		size := int(s.Head().Size)
		if _, err := s.Commit(t.Context(), stateAt(size), []audit.Entry{entry(size)}); err != nil {
			t.Fatal(err)
		}
	}
}

func stateAt(n int) session.State {
	return session.State{Box: "box-1", Custody: gateway.Custody(n), Phones: []session.Phone{
		{ID: "phone-01", Fence: gateway.Fence(n)}, {ID: "phone-02", Phase: session.Bound, Owner: "c-made-up"},
	}}
}

// crash copies a database that is in use into a folder, as a sudden stop would leave it.
func crash(t testing.TB, from, dir string) string {
	t.Helper()
	to := filepath.Join(dir, "ward.db")
	for _, suffix := range []string{"", "-wal", ".anchor"} {
		copyFile(t, from+suffix, to+suffix)
	}
	return to
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// verify re-checks the whole log of a database.
func verify(t testing.TB, path string, trusted ...audit.Head) audit.Report {
	t.Helper()
	c, err := store.OpenCopy(context.WithoutCancel(t.Context()), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	report, err := c.VerifyAll(context.WithoutCancel(t.Context()), trusted...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func mustVerify(t testing.TB, path string, trusted ...audit.Head) audit.Report {
	t.Helper()
	report := verify(t, path, trusted...)
	if report.Bad != nil {
		t.Fatalf("the log does not verify: %s", report.Bad)
	}
	return report
}

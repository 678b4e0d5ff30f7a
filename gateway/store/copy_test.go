package store_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"tapward/gateway/audit"
	"tapward/gateway/store"
)

// damage verifies a damaged copy. A file that SQLite itself refuses counts as found.
func damage(t testing.TB, path string, head audit.Head) (found bool) {
	t.Helper()
	c, err := store.OpenCopy(t.Context(), path)
	if err != nil {
		return true
	}
	defer c.Close()
	report, err := c.VerifyAll(t.Context(), head)
	return err != nil || report.Bad != nil
}

// TestEveryFlippedBitOfTheFileIsFound flips bits in the file itself, wherever it holds a leaf, a hash or an opening.
func TestEveryFlippedBitOfTheFileIsFound(t *testing.T) {
	path := ward(t, 60)
	head := mustVerify(t, path).Heads[0]
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := payload(t, path, file)
	random := rand.New(rand.NewPCG(1, 2))
	spoiled := filepath.Join(t.TempDir(), "ward.db")
	for range 300 {
		p := parts[random.IntN(len(parts))]
		offset, bit := random.IntN(p.size), byte(1)<<random.IntN(8)
		spoil := func() {
			for _, at := range p.at {
				file[at+offset] ^= bit
			}
		}
		spoil()
		if err := os.WriteFile(spoiled, file, 0o600); err != nil {
			t.Fatal(err)
		}
		spoil()
		if !damage(t, spoiled, head) {
			t.Fatalf("bit %#x of byte %d of a %s flipped and nobody noticed", bit, offset, p.what)
		}
	}
}

// part is where something lies in the file: in its row, and perhaps once more in bytes that a page no longer uses.
type part struct {
	what string
	size int
	at   []int
}

// payload finds where in a database file each leaf, hash row, salt and value lies.
func payload(t testing.TB, path string, file []byte) []part {
	t.Helper()
	c, err := store.OpenCopy(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	records, err := c.Leaves(t.Context(), audit.FirstEpoch, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var parts []part
	find := func(what string, b []byte) {
		p := part{what: what, size: len(b)}
		for from := 0; ; {
			at := bytes.Index(file[from:], b)
			if at < 0 {
				break
			}
			p.at, from = append(p.at, from+at), from+at+1
		}
		if len(p.at) == 0 {
			t.Fatalf("a %s is not in the file", what)
		}
		parts = append(parts, p)
	}
	for _, r := range records {
		find("leaf", r.Leaf)
		for _, h := range r.Hashes {
			find("hash", h[:])
		}
		for _, o := range r.Openings {
			find("opening", append(o.Salt[:], o.Value...)) // neighbours in the row
		}
	}
	return parts
}

// TestEveryChangeBySQLIsFound changes rows as somebody with a database shell does.
func TestEveryChangeBySQLIsFound(t *testing.T) {
	path := ward(t, 30)
	head := mustVerify(t, path).Heads[0]
	for _, statement := range []string{
		"UPDATE leaf SET body = CAST(body || x'00' AS BLOB) WHERE idx = 4",
		"UPDATE leaf SET body = (SELECT body FROM leaf WHERE idx = 5) WHERE idx = 4",
		"UPDATE leaf SET hashes = zeroblob(32) WHERE idx = 4",
		"UPDATE leaf SET hashes = substr(hashes, 1, 40) WHERE idx = 3",
		"UPDATE leaf SET hashes = x'' WHERE idx = 3",
		"DELETE FROM leaf WHERE idx = 4",
		"DELETE FROM leaf WHERE idx = 29",
		"DELETE FROM leaf",
		"UPDATE leaf SET id = id + 1 WHERE idx = 29",
		"UPDATE leaf SET id = id | (9 << 40) WHERE idx = 29",
		"INSERT INTO leaf (id, body, hashes) SELECT id + 1, body, hashes FROM leaf WHERE idx = 29",
		"INSERT INTO leaf (id, body, hashes) SELECT id | (7 << 40), body, hashes FROM leaf WHERE idx = 0",
		"UPDATE opening SET value = CAST('c-made-up-77' AS BLOB) WHERE leaf & 0xff = 4 AND field = 'clinician'",
		"UPDATE opening SET salt = zeroblob(16) WHERE leaf & 0xff = 4 AND field = 'clinician'",
		"UPDATE opening SET field = 'previous' WHERE leaf & 0xff = 4 AND field = 'clinician'",
		"UPDATE opening SET field = 'badge' WHERE leaf & 0xff = 4 AND field = 'clinician'",
		"UPDATE opening SET leaf = leaf + 100 WHERE leaf & 0xff = 4 AND field = 'clinician'",
		"INSERT INTO leaf (id, body, hashes) SELECT 0, body, hashes FROM leaf WHERE idx = 0",
		"UPDATE leaf SET id = id + (1 << 40)",
		"DELETE FROM leaf; DELETE FROM opening",
	} {
		spoiled := filepath.Join(t.TempDir(), "ward.db")
		copyFile(t, path, spoiled)
		if err := change(spoiled, statement); err != nil {
			t.Errorf("%s: %v", statement, err)
			continue
		}
		if !damage(t, spoiled, head) {
			t.Errorf("%s: nobody noticed", statement)
		}
	}
}

func TestVerifyingLeavesTheFilesAlone(t *testing.T) {
	for name, path := range map[string]string{"closed": ward(t, 10), "after a sudden stop": image(t, 10)} {
		before := contents(t, path)
		if r := mustVerify(t, path); r.Records != 10 {
			t.Errorf("%s: %d records", name, r.Records)
		}
		if contents(t, path) != before {
			t.Errorf("%s: the files were changed", name)
		}
	}
}

func TestVerifyingBesideTheDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	add(t, s, 10)
	if r := mustVerify(t, path, s.Head()); r.Records != 10 {
		t.Errorf("%d records", r.Records)
	}
	add(t, s, 10)
	shut(t, s)
	mustVerify(t, path)
}

func TestVerifyingOnAReadOnlyMedium(t *testing.T) {
	path := ward(t, 10)
	bindReadOnly(t, filepath.Dir(path))
	mustVerify(t, path)
}

func TestCopyWithoutItsNewestCommitsIsShownByTheCheckpoint(t *testing.T) {
	path := image(t, 10)
	_, verifier := key(t)
	checkpoint, err := store.ReadAnchor(path)
	if err != nil {
		t.Fatal(err)
	}
	head, err := audit.OpenCheckpoint(checkpoint, verifier)
	if err != nil {
		t.Fatal(err)
	}
	mustVerify(t, path, head)
	remove(t, path+"-wal")
	if r := verify(t, path, head); r.Bad == nil || r.Bad.Index != 5 {
		t.Errorf("have %v", r.Bad)
	}
}

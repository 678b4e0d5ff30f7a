package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/store"
)

// running opens a store with Run beside it. stop ends Run and closes the store.
func running(t *testing.T, c store.Config) (s *store.Store, stop func()) {
	t.Helper()
	s, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s, run(t, s)
}

// image is what a sudden stop leaves of a box that has n records and an anchor of all of them.
func image(t *testing.T, n int) (path string) {
	live, dir := filepath.Join(t.TempDir(), "ward.db"), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, config(t, live))
		defer stop()
		half := n / 2
		add(t, s, half)
		settle(t, s) // half of it in the database, half in the WAL
		add(t, s, n-half)
		anchored(t, s)
		path = crash(t, live, dir)
	})
	return path
}

func TestEvidenceAgainstTheDatabaseOpensAnEpoch(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(t *testing.T, path string)
		why    gateway.Reason
		epochs int // in the database afterwards
	}{
		"the WAL is gone":        {func(t *testing.T, p string) { remove(t, p+"-wal") }, audit.RolledBack, 2},
		"the WAL is cut short":   {func(t *testing.T, p string) { truncate(t, p+"-wal", written(t, p+"-wal")/2) }, audit.RolledBack, 2},
		"a bit of the WAL flips": {func(t *testing.T, p string) { flip(t, p+"-wal", written(t, p+"-wal")/2) }, audit.RolledBack, 2},
		"an older copy is back": {func(t *testing.T, p string) {
			older := image(t, 10)
			copyFile(t, older, p)
			copyFile(t, older+"-wal", p+"-wal")
		}, audit.RolledBack, 2},
		"another history of the same length": {func(t *testing.T, p string) {
			remove(t, p)
			remove(t, p+"-wal")
			other := filepath.Join(t.TempDir(), "ward.db")
			s := open(t, config(t, other))
			for n := range 40 {
				if _, err := s.Commit(t.Context(), stateAt(n), []audit.Entry{entry(1000 + n)}); err != nil {
					t.Fatal(err)
				}
			}
			shut(t, s)
			copyFile(t, other, p)
		}, audit.Forked, 2},
		"the database is deleted": {func(t *testing.T, p string) { remove(t, p); remove(t, p+"-wal") }, audit.DatabaseIsGone, 1},
		"the anchor is deleted":   {func(t *testing.T, p string) { remove(t, p+".anchor") }, audit.EvidenceLost, 2},
		"the anchor is cut short": {func(t *testing.T, p string) { truncate(t, p+".anchor", 100) }, audit.EvidenceLost, 2},
		"the anchor is garbage": {func(t *testing.T, p string) {
			overwrite(t, p+".anchor", 0, strings.Repeat("garbage!", 1024))
		}, audit.EvidenceLost, 2},
		"the database is deleted and the anchor is garbage": {func(t *testing.T, p string) {
			remove(t, p)
			remove(t, p+"-wal")
			overwrite(t, p+".anchor", 0, strings.Repeat("garbage!", 1024))
		}, audit.EvidenceLost, 1},
		"the anchor is of another key": {func(t *testing.T, p string) {
			secret, _, err := audit.NewKey(bytes.NewReader(bytes.Repeat([]byte{7}, 64)), "box-1")
			if err != nil {
				t.Fatal(err)
			}
			conf := config(t, filepath.Join(t.TempDir(), "ward.db"))
			if conf.Signer, err = note.NewSigner(secret); err != nil {
				t.Fatal(err)
			}
			s := open(t, conf)
			add(t, s, 99)
			shut(t, s)
			copyFile(t, conf.Path+".anchor", p+".anchor")
		}, audit.EvidenceLost, 2},
	} {
		t.Run(name, func(t *testing.T) {
			path := image(t, 40)
			kept, err := store.ReadAnchor(path)
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(t, path)
			var head audit.Head
			synctest.Test(t, func(t *testing.T) {
				s, stop := running(t, config(t, path))
				defer stop()
				epochs, err := s.Epochs(t.Context())
				if err != nil || len(epochs) != c.epochs {
					t.Fatalf("epochs %+v, %v", epochs, err)
				}
				last := epochs[len(epochs)-1]
				if last.Number != 2 || last.Why != c.why || last.Size != 1 {
					t.Errorf("the last epoch is %+v, want number 2 because of %s", last, c.why)
				}
				if lost := c.why == audit.EvidenceLost; lost == (last.Prior == kept) {
					t.Errorf("the new epoch names %q", last.Prior)
				}
				add(t, s, 3)
				head = anchored(t, s)
			})
			again := open(t, config(t, path))
			if epochs, err := again.Epochs(t.Context()); err != nil || len(epochs) != c.epochs || again.Head() != head {
				t.Errorf("a second start found %+v and head %v, %v", epochs, again.Head(), err)
			}
			shut(t, again)
			if r := mustVerify(t, path, head); len(r.Breaks) != 1 || r.Breaks[0].Entry.Record.Reasons[0] != c.why {
				t.Errorf("the report does not tell of the break: %+v", r)
			}
		})
	}
}

func TestUncleanStopAloneOpensNoEpoch(t *testing.T) {
	path := image(t, 40)
	s := open(t, config(t, path))
	if epochs, err := s.Epochs(t.Context()); err != nil || len(epochs) != 1 || s.Head().Size != 40 {
		t.Errorf("have %+v, %v, %v", epochs, s.Head(), err)
	}
	if s.Checkpoint() == "" {
		t.Error("the anchored checkpoint is not published again")
	}
}

func TestTornAnchorWriteLeavesTheOtherSlot(t *testing.T) {
	path := image(t, 40)
	for slot := range int64(2) {
		torn := crash(t, path, t.TempDir())
		overwrite(t, torn+".anchor", slot*4096+100, strings.Repeat("\xaa", 2000))
		if _, err := store.ReadAnchor(torn); err == nil || !strings.Contains(err.Error(), "torn or was changed") {
			t.Errorf("slot %d: %v", slot, err)
		}
		s := open(t, config(t, torn))
		if epochs, err := s.Epochs(t.Context()); err != nil || len(epochs) != 1 {
			t.Errorf("slot %d: %+v, %v", slot, epochs, err)
		}
		shut(t, s)
	}
}

func TestEveryFlippedBitOfTheAnchorIsFound(t *testing.T) {
	path := image(t, 40)
	_, verifier := key(t)
	if checkpoint, err := store.ReadAnchor(path); err != nil {
		t.Fatal(err)
	} else if _, err := audit.OpenCheckpoint(checkpoint, verifier); err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < 2*4096; at += 13 {
		flip(t, path+".anchor", at)
		if _, err := store.ReadAnchor(path); err == nil {
			t.Fatalf("a bit of byte %d flipped and nobody noticed", at)
		}
		flip(t, path+".anchor", at)
	}
}

func TestWitnessesAreCompared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	add(t, s, 10)
	old := s.Head()
	add(t, s, 10)
	forged, bigger, later := old, s.Head(), s.Head()
	forged.Root[0] ^= 1
	bigger.Size++
	later.Epoch++
	for name, c := range map[string]struct {
		head audit.Head
		want gateway.Reason
	}{
		"an old head": {old, ""}, "the newest": {s.Head(), ""}, "another root": {forged, audit.Forked},
		"a larger one": {bigger, audit.RolledBack}, "a later epoch": {later, audit.RolledBack},
	} {
		if have, err := s.Compare(t.Context(), c.head); err != nil || have != c.want {
			t.Errorf("%s: %q, %v", name, have, err)
		}
	}
	signer, _ := key(t)
	prior, err := audit.SignCheckpoint("box-1", later, signer)
	if err != nil {
		t.Fatal(err)
	}
	head, err := s.OpenEpoch(t.Context(), audit.RolledBack, prior, entry(20))
	if err != nil || head.Epoch != 3 || head.Size != 1 {
		t.Fatalf("have %v, %v", head, err)
	}
	if why, err := s.Compare(t.Context(), later); err != nil || why != "" {
		t.Errorf("the same witness again: %q, %v", why, err)
	}
	shut(t, s)
	mustVerify(t, path, old, head)
}

func size(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// flip turns one bit of a file around.
func flip(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (at % 8)
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

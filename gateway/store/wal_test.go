package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
)

// written is how much of a file there is before the zeros at its end.
func written(t testing.TB, path string) int64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(bytes.TrimRight(b, "\x00")))
}

// blocks is how much of the disk a file has.
func blocks(t testing.TB, path string) int64 {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks
}

func TestCommitsOverwriteAWALThatHasItsRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, config(t, path))
		length, room := size(t, path+"-wal"), blocks(t, path+"-wal")
		if length < 4<<20 || room*512 < length {
			t.Errorf("before the first commit the WAL has %d bytes in %d blocks", length, room)
		}
		for range 3 {
			add(t, s, 50)
			settle(t, s)
		}
		if have := size(t, path+"-wal"); have != length || blocks(t, path+"-wal") != room {
			t.Errorf("commits made the WAL %d bytes long, it had %d", have, length)
		}
		if written(t, path+"-wal") == 0 {
			t.Error("nothing was written to the WAL")
		}
		head := s.Head()
		stop()
		mustVerify(t, path, head)
	})
}

// A box that lost its power takes up what is before the zeros, and goes on behind it.
func TestRecoveryEndsAtTheLastFrame(t *testing.T) {
	path := image(t, 40)
	before := written(t, path+"-wal")
	s := open(t, config(t, path))
	if s.Head().Size != 40 {
		t.Errorf("the log has %d records after the crash, want 40", s.Head().Size)
	}
	add(t, s, 2)
	if before == 0 || size(t, path+"-wal") < 4<<20 {
		t.Errorf("the WAL had %d bytes at the crash and has %d now", before, size(t, path+"-wal"))
	}
	head := s.Head()
	shut(t, s)
	if r := mustVerify(t, path, head); r.Records != 42 {
		t.Errorf("have %+v", r)
	}
}

func TestWALTakesNoRoomThatIsScarce(t *testing.T) {
	dir := t.TempDir()
	smallDisk(t, dir, 6<<20)
	path := filepath.Join(dir, "ward.db")
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, fullConfig(t, path))
		defer stop()
		add(t, s, 3)
		if have := size(t, path+"-wal"); have > 1<<20 {
			t.Errorf("the WAL took %d bytes of a disk that has 6 MiB", have)
		}
	})
}

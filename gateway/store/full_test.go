package store_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/store"
)

// fillDisk takes all but the given number of bytes of a file system with one file, and gives its path.
func fillDisk(t testing.TB, dir string, leave int64) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	free := int64(disk.Bavail) * disk.Bsize
	if _, err := io.CopyN(f, zeros{}, free-leave); err != nil {
		t.Fatal(err)
	}
	return path
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// fullConfig is a store on a disk of a few megabytes.
func fullConfig(t testing.TB, path string) store.Config {
	c := config(t, path)
	c.Reserve, c.LowWater = 1<<20, 256<<10
	return c
}

// TestFullDiskAtEveryWritePoint leaves room for one page more in each round, so that every write of a commit in turn is
// the first that finds none.
func TestFullDiskAtEveryWritePoint(t *testing.T) {
	refusals := map[int64]bool{}
	for pages := range int64(14) {
		synctest.Test(t, func(t *testing.T) { refusals[fillAndRecover(t, pages)] = true })
	}
	if len(refusals) < 4 {
		t.Errorf("the disk was full at %d points only: %v", len(refusals), refusals)
	}
}

// fillAndRecover gives the size that the log had when the disk was full.
func fillAndRecover(t *testing.T, pages int64) int64 {
	dir := t.TempDir()
	smallDisk(t, dir, 6<<20) // too small for a WAL that has its room from the start
	path := filepath.Join(dir, "ward.db")
	s, stop := running(t, fullConfig(t, path))
	add(t, s, 3)
	if have := s.Storage(); have != gateway.StorageOK {
		t.Fatalf("at first the storage is %s", have)
	}
	filler := fillDisk(t, dir, pages*4096)
	if have := s.Storage(); have != gateway.StorageNear {
		t.Errorf("with %d pages free the storage is %s", pages, have)
	}
	size := commitUntilFull(t, s)
	if have := s.Storage(); have != gateway.StorageNone {
		t.Errorf("after a refusal the storage is %s", have)
	}
	mustVerify(t, path, s.Head())

	// Locks and returns go on from the reserve.
	if err := s.ReleaseReserve(); err != nil {
		t.Fatal(err)
	}
	add(t, s, 20)
	if have := s.Storage(); have != gateway.StorageNone {
		t.Errorf("on the reserve the storage is %s", have)
	}

	// Somebody makes room: Run restores the reserve, and everything is as before, without a restart.
	remove(t, filler)
	<-time.After(6 * time.Second)
	synctest.Wait()
	if have := s.Storage(); have != gateway.StorageOK {
		t.Errorf("with room again the storage is %s", have)
	}
	add(t, s, 5)
	head := s.Head()
	if head.Size != size+25 {
		t.Errorf("the log has %d records, want %d", head.Size, size+25)
	}
	stop()
	if report := mustVerify(t, path, head); report.Records != head.Size {
		t.Errorf("%d records verified of %d", report.Records, head.Size)
	}
	return size
}

// commitUntilFull commits until there is no room, checks that the last batch left nothing behind, and gives the size.
func commitUntilFull(t *testing.T, s *store.Store) int64 {
	t.Helper()
	for {
		before := s.Head()
		n := int(before.Size)
		head, err := s.Commit(t.Context(), stateAt(n), []audit.Entry{entry(n)})
		if err == nil {
			continue
		}
		if !errors.Is(err, gateway.ErrStorageFull) {
			t.Fatalf("a full disk gave %v", err)
		}
		stored := load(t, s)
		if head != before || s.Head() != before || stored.Head != before || stored.State.Custody != gateway.Custody(n-1) {
			t.Fatalf("a dropped batch left something behind: %+v", stored)
		}
		return before.Size
	}
}

func TestBoxStartsOnAFullDisk(t *testing.T) {
	for _, pages := range []int64{0, 1, 3, 8, 20} {
		t.Run(fmt.Sprintf("%d pages free", pages), func(t *testing.T) {
			dir := t.TempDir()
			smallDisk(t, dir, 8<<20)
			path := filepath.Join(dir, "ward.db")
			s := open(t, fullConfig(t, path))
			add(t, s, 30)
			head := s.Head()
			shut(t, s)
			fillDisk(t, dir, pages*4096)

			conf := fullConfig(t, path)
			conf.BootID = "boot-2" // the start itself has something to write
			s = open(t, conf)
			if have := load(t, s); have.Head != head || have.Boot != 2 {
				t.Errorf("have %+v", have)
			}
			if have := s.Storage(); have == gateway.StorageOK {
				t.Error("the storage is said to be ok")
			}
			add(t, s, 10)
			shut(t, s)
			mustVerify(t, path, head)
		})
	}
}

// TestBoxStartsWithoutAnyRoom starts a box whose reserve is used up too: it reads what stands, refuses to write, and goes
// on from there as soon as there is room, without a restart.
func TestBoxStartsWithoutAnyRoom(t *testing.T) {
	for name, crashed := range map[string]bool{"after a stop": false, "after a crash": true} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { startWithoutRoom(t, crashed) }) })
	}
}

func startWithoutRoom(t *testing.T, crashed bool) {
	dir := t.TempDir()
	smallDisk(t, dir, 8<<20)
	path := filepath.Join(dir, "ward.db")
	if crashed {
		before := filepath.Join(t.TempDir(), "ward.db")
		s := open(t, fullConfig(t, before))
		add(t, s, 30)
		crash(t, before, dir)
	} else {
		s := open(t, fullConfig(t, path))
		add(t, s, 30)
		shut(t, s)
		remove(t, path+".reserve")
	}
	filler := fillDisk(t, dir, 0)

	conf := fullConfig(t, path)
	conf.BootID = "boot-2"
	s, stop := running(t, conf)
	head := s.Head()
	if have := load(t, s); head.Size != 30 || have.Head != head || have.Boot != 2 || have.SameBoot || have.State.Custody != 29 {
		t.Errorf("have %+v", have)
	}
	if have := s.Storage(); have != gateway.StorageNone {
		t.Errorf("the storage is said to be %s", have)
	}
	if why, err := s.Compare(t.Context(), head); why != "" || err != nil {
		t.Errorf("its own head is judged as %q, %v", why, err)
	}
	if err := s.ReleaseReserve(); err != nil {
		t.Error(err)
	}
	if size := commitUntilFull(t, s); size != 30 {
		t.Errorf("%d records were written without room", size-30)
	}

	remove(t, filler)
	add(t, s, 5)
	<-time.After(6 * time.Second)
	synctest.Wait()
	if have := s.Storage(); have != gateway.StorageOK {
		t.Errorf("with room again the storage is %s", have)
	}
	if have := load(t, s); have.Boot != 2 || have.Head.Size != 35 {
		t.Errorf("have %+v", have)
	}
	stop()
	mustVerify(t, path, head)
	if s := open(t, conf); load(t, s).Boot != 2 {
		t.Error("the start was not counted")
	}
}

func TestNoRoomForANewDatabase(t *testing.T) {
	dir := t.TempDir()
	smallDisk(t, dir, 1<<20)
	fillDisk(t, dir, 0)
	path := filepath.Join(dir, "ward.db")
	if _, err := store.Open(t.Context(), fullConfig(t, path)); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("a database was made out of nothing: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was left behind: %v", err)
	}
}

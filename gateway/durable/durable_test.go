package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"tapward/gateway/durable"
	"tapward/gateway/isolate"
)

// The tests mount a disk that is full.
func TestMain(m *testing.M) { isolate.Main(m) }

// holds checks that a folder holds one file with this content, for its owner only, and nothing else.
func holds(t *testing.T, path, want string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil || string(content) != want {
		t.Errorf("the file holds %d bytes, want %d: %v", len(content), len(want), err)
	}
	if stat, err := os.Stat(path); err == nil && stat.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", stat.Mode())
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("beside it lies something else: %v, %v", all, err)
	}
}

func TestCreateOverwritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := durable.Create(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := durable.Create(path, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating it again: %v", err)
	}
	holds(t, path, "first")
}

func TestCreateFollowsNoLink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.Symlink("elsewhere", path); err != nil {
		t.Fatal(err)
	}
	if err := durable.Create(path, []byte("x")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("writing over a link: %v, want that it exists", err)
	}
}

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, content := range []string{"first", "second"} {
		if err := durable.Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		holds(t, path, content)
	}
}

func TestFullDiskLeavesNoHalf(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	path := filepath.Join(dir, "key")
	if err := durable.Create(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	large := make([]byte, 1<<20)
	if err := durable.Replace(path, large); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("replacing on a full disk: %v", err)
	}
	if err := durable.Create(path+"-2", large); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("creating on a full disk: %v", err)
	}
	holds(t, path, "first")
}

func TestNoFolder(t *testing.T) {
	if err := durable.Create(filepath.Join(t.TempDir(), "none", "key"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("have %v", err)
	}
}

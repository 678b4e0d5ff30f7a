package store_test

import (
	"fmt"
	"syscall"
	"testing"
)

// bindReadOnly makes a folder read-only for everybody, within this test's mount namespace.
func bindReadOnly(t testing.TB, dir string) {
	t.Helper()
	mount(t, dir, dir, "", syscall.MS_BIND, "")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

// smallDisk mounts a file system of the given size over a folder.
func smallDisk(t testing.TB, dir string, bytes int) {
	t.Helper()
	mount(t, "tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
}

func mount(t testing.TB, source, target, kind string, flags uintptr, options string) {
	t.Helper()
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		t.Fatalf("mount on %s: %v", target, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", target, err)
		}
	})
}

package main

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
	"tapward/gateway/store"
)

// TestBoxStartsOnADiskWithoutAnyRoom takes a box down while a phone is out, and the last byte of its disk and its reserve
// before it comes up: it must open, release the phone, refuse the next check-out with the reason, and write all of that
// down as soon as there is room.
func TestBoxStartsOnADiskWithoutAnyRoom(t *testing.T) {
	for name, down := range map[string]func(*testBox){"after a stop": (*testBox).stop, "after a crash": (*testBox).kill} {
		t.Run(name, func(t *testing.T) { startWithoutRoom(t, down) })
	}
}

func startWithoutRoom(t *testing.T, down func(*testBox)) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=96m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	door := newPort(t, "door")
	b := newBox(t, func(c *Config) {
		c.Data = filepath.Join(disk, "data")
		c.Serial = append(c.Serial, door.config)
	})
	ana := b.staff(1)[0]
	b.start()
	b.must(b.client.LoadPolicy(t.Context(), wardPolicy{
		Version: 1, Staff: []person{ana}, Places: []gateway.Place{{Reader: "door", Pool: testPool}},
	}.document()))
	phone := newHandset(t, b, "phone-1", handsetWith{dials: true})
	b.must(b.client.AddPhone(t.Context(), phone.paired()))
	b.await("link and reader", ready("phone-1", "door"))
	door.tap(ana)
	phone.awaitName(ana)
	b.await("session of "+ana.Name, held("phone-1", ana))
	down(b)

	filler := fill(t, disk, filepath.Join(b.config.Data, store.DatabaseFile+".reserve"))
	door.plug()
	b.start()
	w := b.await("the session that stands", func(w *gateway.Ward) bool {
		return held("phone-1", ana)(w) && phoneOf(w, "phone-1").Linked && readersUp(w, "door")
	})
	if w.Storage != gateway.StorageNone {
		t.Errorf("the storage is said to be %s", w.Storage)
	}
	b.must(b.client.ReleasePhone(t.Context(), "phone-1"))
	phone.await("release", func(v agent.View) bool { return v.Screen == agent.ScreenFree })
	b.await("the phone's receipt", ready("phone-1"))
	door.tap(ana)
	b.await("a refusal", func(w *gateway.Ward) bool {
		return slices.ContainsFunc(w.Taps, func(t gateway.WardTap) bool { return t.Reason == gateway.StorageLow })
	})

	b.must(os.Remove(filler))
	b.await("room again", func(w *gateway.Ward) bool { return w.Storage == gateway.StorageOK })
	b.stop()
	b.readLog().follows(t, "phone-1", event{gateway.SessionOpened, ana}, event{gateway.SessionCleared, ana})
}

// fill removes a reserve and takes every byte of the disk.
func fill(t *testing.T, disk, reserve string) (filler string) {
	t.Helper()
	if err := os.Remove(reserve); err != nil {
		t.Fatal(err)
	}
	filler = filepath.Join(disk, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var room syscall.Statfs_t
	if err := syscall.Statfs(disk, &room); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(room.Bavail)*room.Bsize); err != nil {
		t.Fatal(err)
	}
	return filler
}

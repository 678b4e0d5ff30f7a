package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"tapward/gateway"
	"tapward/reader/vpcd"
)

// badgeReaders are readers of the real PC/SC daemon, to which virtual cards are held.
type badgeReaders struct {
	t      testing.TB
	daemon *vpcd.Daemon
	ids    []gateway.ReaderID
}

// startReaders starts the daemon; tapwardd, started later, finds it by the environment. The path of its socket is the
// same for the whole process, because the library reads it once.
func startReaders(t testing.TB, ids ...gateway.ReaderID) *badgeReaders {
	t.Helper()
	socketDir := filepath.Join(os.TempDir(), fmt.Sprintf("tapwardd-pcsc-%d", os.Getpid()))
	if err := os.MkdirAll(socketDir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(socketDir) })
	d, err := vpcd.New(vpcd.Rig{Dir: t.TempDir(), Readers: len(ids), SocketDir: socketDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	t.Setenv("PCSCLITE_CSOCK_NAME", d.Socket())
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &badgeReaders{t, d, ids}
}

// config names the readers of a box.
func (r *badgeReaders) config() (all []PCSC) {
	for i, slot := range r.daemon.Slots()[:len(r.ids)] {
		all = append(all, PCSC{ID: r.ids[i], Match: slot.Name})
	}
	return all
}

func (r *badgeReaders) slot(id gateway.ReaderID) *vpcd.Slot {
	for i, known := range r.ids {
		if known == id {
			return r.daemon.Slots()[i]
		}
	}
	r.t.Fatalf("there is no reader %s", id)
	return nil
}

// tap holds somebody's card to a reader until ok, and takes it away.
func (r *badgeReaders) tap(id gateway.ReaderID, who person, ok func()) {
	r.t.Helper()
	if err := r.slot(id).Insert(r.t.Context(), vpcd.Card{UID: who.UID}); err != nil {
		r.t.Fatal(err)
	}
	ok()
	if err := r.slot(id).Remove(); err != nil {
		r.t.Fatal(err)
	}
}

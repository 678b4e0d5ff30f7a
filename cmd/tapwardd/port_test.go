package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/creack/pty"

	"tapward/gateway"
	"tapward/reader/serial"
)

// badgePort is a serial reader at a real pseudo-terminal: the test plays the reader, tapwardd has the port.
type badgePort struct {
	t      testing.TB
	config serial.Config
	master *os.File
}

// newPort has a stable name, as udev gives one.
func newPort(t testing.TB, id gateway.ReaderID) *badgePort {
	t.Helper()
	p := &badgePort{t: t, config: serial.Config{ID: id, Device: filepath.Join(t.TempDir(), "port"), Protocol: serial.ID12LA}}
	p.plug()
	t.Cleanup(func() { p.master.Close() })
	return p
}

// plug makes a new terminal and lets the name lead to it: one that a killed program had locked stays locked.
func (p *badgePort) plug() {
	p.t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		p.t.Fatal(err)
	}
	if p.master != nil {
		p.master.Close()
	}
	p.master = master
	os.Remove(p.config.Device)
	if err := os.Symlink(slave.Name(), p.config.Device); err != nil {
		p.t.Fatal(err)
	}
	slave.Close()
}

// tap holds a badge to the reader. Where nobody has the port open it goes unheard.
func (p *badgePort) tap(who person) {
	p.t.Helper()
	frame, err := p.config.Encode(who.EM)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.master.Write(frame); err != nil {
		p.t.Errorf("tap at %s: %v", p.config.ID, err)
	}
}

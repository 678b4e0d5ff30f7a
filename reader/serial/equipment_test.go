package serial

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	bugst "go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// line is a real pseudo-terminal behind a link, as udev makes them: the test plays the reader on its master.
type line struct {
	t      *testing.T
	config Config
	babble string

	master, slave *os.File
	drained       chan struct{} // closed when nothing more comes from the master

	mu    sync.Mutex
	heard bytes.Buffer // what the source wrote
	grown chan struct{}
}

// newLine is plugged in; config gets its device.
func newLine(t *testing.T, config Config, babble string) *line {
	t.Helper()
	config.Device = filepath.Join(t.TempDir(), "usb-reader")
	l := &line{t: t, config: config, babble: babble, grown: make(chan struct{}, 1)}
	l.Replug()
	t.Cleanup(func() {
		if l.master != nil {
			l.Unplug()
		}
	})
	return l
}

// Replug makes a new terminal, with a new number, and lets the link lead to it.
func (l *line) Replug() {
	l.t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		l.t.Fatal(err)
	}
	l.master, l.slave = pollable(l.t, master), slave
	raw, err := bugst.Open(l.slave.Name(), &bugst.Mode{BaudRate: 9600, DataBits: 8}) // it echoes until it is raw
	if err != nil {
		l.t.Fatal(err)
	}
	raw.Close()
	l.drained = make(chan struct{})
	go l.drain(l.master, l.drained)
	if err := os.Symlink(l.slave.Name(), l.config.Device); err != nil {
		l.t.Fatal(err)
	}
}

// pollable is the same file in the form whose Close ends a Read.
func pollable(t *testing.T, f *os.File) *os.File {
	t.Helper()
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

func (l *line) Unplug() {
	l.t.Helper()
	if err := os.Remove(l.config.Device); err != nil {
		l.t.Fatal(err)
	}
	l.master.Close()
	<-l.drained
	l.slave.Close()
	l.master = nil
}

func (l *line) drain(master *os.File, drained chan<- struct{}) {
	defer close(drained)
	buf := make([]byte, 4096)
	for {
		n, err := master.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.heard.Write(buf[:n])
		l.mu.Unlock()
		select {
		case l.grown <- struct{}{}:
		default:
		}
	}
}

// awaitHeard waits until the source has written want.
func (l *line) awaitHeard(want string) {
	l.t.Helper()
	giveUp := time.After(30 * time.Second)
	for {
		l.mu.Lock()
		heard := l.heard.String()
		l.mu.Unlock()
		if strings.Contains(heard, want) {
			return
		}
		select {
		case <-l.grown:
		case <-giveUp:
			l.t.Fatalf("the reader heard %q, want %q in it", heard, want)
		}
	}
}

// say lets the reader send.
func (l *line) say(what string) {
	l.t.Helper()
	if _, err := l.master.WriteString(what); err != nil {
		l.t.Fatal(err)
	}
}

// Present sends the badge's frame once. Where nobody has the port open it waits there, for a later open to drop.
func (l *line) Present(badge []byte) {
	l.t.Helper()
	l.say(frame(l.t, l.config, badge))
	if lock(l.slave) == nil {
		l.arrived()
		unix.Flock(int(l.slave.Fd()), unix.LOCK_UN)
	}
}

// arrived waits until what was said can be read at the other end: the kernel passes it on in its own time.
func (l *line) arrived() {
	l.t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(l.slave.Fd()), Events: unix.POLLIN}}, 30_000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 || err != nil {
			l.t.Fatalf("what the reader said did not arrive: %v", err)
		}
		return
	}
}

func (l *line) Remove() {}
func (l *line) Babble() { l.say(l.babble) }

func frame(t *testing.T, config Config, badge []byte) string {
	t.Helper()
	f, err := config.Encode(badge)
	if err != nil {
		t.Fatal(err)
	}
	return string(f)
}

// numbers are three badges for a configuration.
func numbers(config Config) (badges [3][]byte) {
	for i := range badges {
		if config.Protocol == RDM6300 || config.Protocol == ID12LA {
			badges[i] = []byte{0x62, 0xE3, 0x08, 0x6C, 0xE0 + byte(i)}
		} else {
			badges[i] = fmt.Appendf(nil, "%0*d", config.Digits, 70_401_700+i)
		}
	}
	return badges
}

package serial

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	bugst "go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// transport is an open port. Close ends a Read that waits; a Read of no bytes without an error means nothing.
type transport interface {
	io.ReadWriteCloser
	SetWriteDeadline(time.Time) error
}

// port reads through the library, which also sets the line up and is woken by Close. It writes through a file of its
// own, because that one's writes can be given a deadline: a reader that stopped listening must not hold anybody up.
type port struct {
	bugst.Port
	file *os.File
}

// openPort opens and locks a port and drops what had arrived before.
func openPort(path string, baud int) (transport, error) {
	// A device in /dev/serial/by-id is a link that moves when things are plugged: both opens must get the same one.
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, explain(path, err)
	}
	file, err := os.OpenFile(real, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.EBUSY) {
		err = errLocked // the kernel's exclusive mode, which keeps all but root out
	}
	if err != nil {
		return nil, explain(path, err)
	}
	if err := lock(file); err != nil {
		file.Close()
		return nil, explain(path, err)
	}
	line, err := bugst.Open(real, &bugst.Mode{BaudRate: baud, DataBits: 8})
	if err != nil {
		file.Close()
		return nil, explain(path, err)
	}
	p := &port{line, file}
	if err := p.ResetInputBuffer(); err != nil {
		p.Close()
		return nil, explain(path, err)
	}
	return p, nil
}

func (p *port) Write(b []byte) (int, error)         { return p.file.Write(b) }
func (p *port) SetWriteDeadline(at time.Time) error { return p.file.SetWriteDeadline(at) }

// Close ends a Read and a Write that wait, and frees the lock.
func (p *port) Close() error { return errors.Join(p.Port.Close(), p.file.Close()) }

var errLocked = errors.New("another program has it")

// lock takes the port for this process. The kernel's exclusive mode does not keep root out, so it is not enough.
func lock(file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	if err := raw.Control(func(fd uintptr) { locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		return err
	}
	if errors.Is(locked, unix.EWOULDBLOCK) {
		return errLocked
	}
	return locked
}

// explain says what to do about a port that does not open. The library mixes its own errors with the kernel's.
func explain(path string, err error) error {
	var code bugst.PortErrorCode = -1
	if e := (*bugst.PortError)(nil); errors.As(err, &e) {
		code = e.Code()
	}
	advice := "see whether another program or a broken cable is the cause"
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV),
		code == bugst.PortNotFound:
		advice = "is the reader plugged in?"
	case errors.Is(err, fs.ErrPermission), code == bugst.PermissionDenied:
		advice = "the daemon's user must be in the group that owns it, usually dialout"
	case errors.Is(err, errLocked), code == bugst.PortBusy:
		advice = "stop the program that has it open, or give each reader a port of its own"
	case code == bugst.InvalidSerialPort, errors.Is(err, syscall.ENOTTY):
		advice = "it is not a serial port"
	}
	return fmt.Errorf("open serial port %s: %w (%s)", path, err, advice)
}

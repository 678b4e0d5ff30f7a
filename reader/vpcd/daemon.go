package vpcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// MaxReaders is how many readers one daemon can have.
const MaxReaders = 16

// Rig says what daemon to start.
type Rig struct {
	// Dir keeps drivers, configuration, log and the list of slots. It is made if missing and may be used again. Neither
	// it nor SocketDir may lie below /run.
	Dir string
	// Readers is how many virtual readers there are, 1 to MaxReaders. An odd number brings one spare: the driver makes
	// pairs.
	Readers int
	// SocketDir is where the daemon's socket appears, for clients that are told of it by PCSCLITE_CSOCK_NAME; empty:
	// Dir. It is made if missing.
	SocketDir string
	// Apart gives the daemon a network namespace of its own. Without, the driver's ports are open on every interface
	// of ours: only for those who live in a namespace themselves.
	Apart bool
}

// Daemon is the real pcscd with virtual readers and no others: it runs in a mount namespace in which the drivers of
// physical readers are hidden and its fixed socket path is Rig.SocketDir. Methods are called one at a time.
type Daemon struct {
	rig     Rig
	slots   []*Slot
	network netns.NsHandle // the daemon's; stays the same over restarts
	process *process       // nil: not running
}

// New prepares a daemon; the first Start makes everything. Close gives it back.
func New(rig Rig) (*Daemon, error) {
	if rig.Readers < 1 || rig.Readers > MaxReaders {
		return nil, fmt.Errorf("prepare pcscd: %d readers; it can have 1 to %d", rig.Readers, MaxReaders)
	}
	if rig.SocketDir == "" {
		rig.SocketDir = rig.Dir
	}
	for _, dir := range []*string{&rig.Dir, &rig.SocketDir} {
		var err error
		if *dir, err = filepath.Abs(*dir); err != nil {
			return nil, fmt.Errorf("prepare pcscd: %w", err)
		}
		if strings.HasPrefix(*dir+"/", "/run/") {
			return nil, fmt.Errorf("prepare pcscd: the folder %s is below /run, which the daemon has its own of; choose another", *dir)
		}
	}
	d := &Daemon{rig: rig, network: netns.None()}
	if len(d.Socket()) >= len(unix.RawSockaddrUnix{}.Path) {
		return nil, fmt.Errorf("prepare pcscd: the path %s is too long for a socket; choose a shorter folder", d.Socket())
	}
	if err := d.install(); err != nil {
		return nil, fmt.Errorf("prepare pcscd: %w", err)
	}
	if err := d.enterNetwork(); err != nil {
		return nil, fmt.Errorf("prepare pcscd: %w", err)
	}
	if err := d.writeSlots(); err != nil {
		d.network.Close()
		return nil, fmt.Errorf("prepare pcscd: %w", err)
	}
	return d, nil
}

// Socket is what PCSCLITE_CSOCK_NAME must be for clients; the library reads it once, at the first call of a process.
func (d *Daemon) Socket() string { return filepath.Join(d.rig.SocketDir, "pcscd.comm") }

// Log is the path of what the daemon has written.
func (d *Daemon) Log() string { return filepath.Join(d.rig.Dir, "pcscd.log") }

// Slots are the virtual readers, as many as were asked for. They stay the same over restarts; a card lying in one does
// not survive the daemon and must be removed.
func (d *Daemon) Slots() []*Slot { return d.slots }

// Start starts the daemon, also after its death, and returns when it listens for clients and cards.
func (d *Daemon) Start(ctx context.Context) error {
	if d.process != nil {
		return errors.New("start pcscd: it is running")
	}
	program, err := exec.LookPath("pcscd")
	if err != nil {
		program = "/usr/sbin/pcscd"
	}
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("start pcscd: %w; install the package pcscd", err)
	}
	// What a killed daemon left would make a new one think that it is the second.
	for _, left := range []string{"pcscd.comm", "pcscd.pid"} {
		if err := os.Remove(filepath.Join(d.rig.SocketDir, left)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("start pcscd: %w", err)
		}
	}
	log, err := os.OpenFile(d.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("start pcscd: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(program, "--foreground", "--info", "--config", d.configDir())
	cmd.Stdout, cmd.Stderr = log, log
	// The stop signal of a terminal is for whoever runs us; a daemon that outlives us would hold the ports.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p, err := launch(cmd, d.enter)
	if err != nil {
		return fmt.Errorf("start pcscd: %w", err)
	}
	if err := d.awaitReady(ctx, p); err != nil {
		p.end(syscall.SIGKILL)
		return fmt.Errorf("start pcscd: %w; its log is %s", err, d.Log())
	}
	d.process = p
	return nil
}

// Kill ends the daemon as a crash would, and returns when it is gone. A daemon that is not running is no error.
func (d *Daemon) Kill() { d.end(syscall.SIGKILL) }

// Stop ends the daemon in order, and returns when it is gone.
func (d *Daemon) Stop() { d.end(syscall.SIGTERM) }

func (d *Daemon) end(s syscall.Signal) {
	if d.process != nil {
		d.process.end(s)
		d.process = nil
	}
}

// Ended is closed once the daemon that runs now has ended, however that came. It is nil where none runs.
func (d *Daemon) Ended() <-chan struct{} {
	if d.process == nil {
		return nil
	}
	return d.process.ended
}

// Freeze stops the daemon from doing anything until Thaw, without ending it.
func (d *Daemon) Freeze() error { return d.tell(syscall.SIGSTOP) }

// Thaw lets a frozen daemon go on.
func (d *Daemon) Thaw() error { return d.tell(syscall.SIGCONT) }

func (d *Daemon) tell(s syscall.Signal) error {
	if d.process == nil {
		return errors.New("signal pcscd: it is not running")
	}
	return d.process.cmd.Process.Signal(s)
}

// Close ends the daemon and gives its network namespace back; Dir stays.
func (d *Daemon) Close() {
	d.Kill()
	if d.network.IsOpen() {
		d.network.Close()
	}
}

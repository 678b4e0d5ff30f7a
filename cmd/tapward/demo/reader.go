package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/creack/pty"

	"tapward/gateway"
	"tapward/reader/serial"
	"tapward/reader/vpcd"
)

// badgeReader is a reader that badges are held to and whose cable can be pulled.
type badgeReader interface {
	// tap holds a badge to the reader for a moment and takes it away.
	tap(ctx context.Context, b Badge) error
	pull() error
	plug(ctx context.Context) error
}

var (
	errPulled  = errors.New("its cable is pulled: plug it in first")
	errPlugged = errors.New("it is plugged in already")
)

// held is how long a badge stays at a contactless reader: long enough for the driver's poll and a slow machine.
const held = 900 * time.Millisecond

// pcscDaemon is the PC/SC daemon with its virtual readers. Pulling one of their cables stops the daemon, since the
// virtual driver cannot take a reader out of a running one.
type pcscDaemon struct {
	ended chan<- error

	mu     sync.Mutex
	daemon *vpcd.Daemon
	life   <-chan struct{} // closed when the daemon that runs has ended; nil: pulled
}

func startPCSC(ctx context.Context, dir string, readers int, ended chan<- error) (*pcscDaemon, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start pcscd: %w", err)
	}
	daemon, err := vpcd.New(vpcd.Rig{Dir: dir, Readers: readers, Apart: true})
	if err != nil {
		return nil, err
	}
	d := &pcscDaemon{daemon: daemon, ended: ended}
	if err := d.plug(ctx); err != nil {
		daemon.Close()
		return nil, err
	}
	return d, nil
}

func (d *pcscDaemon) plug(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life != nil {
		return errPlugged
	}
	if err := d.daemon.Start(ctx); err != nil {
		return err
	}
	d.life = d.daemon.Ended()
	go d.watch(d.life)
	return nil
}

func (d *pcscDaemon) watch(life <-chan struct{}) {
	<-life
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life == life {
		d.ended <- fmt.Errorf("pcscd ended by itself; its log is %s", d.daemon.Log())
	}
}

func (d *pcscDaemon) pull() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life == nil {
		return errPulled
	}
	d.life = nil
	d.daemon.Stop()
	return nil
}

func (d *pcscDaemon) running() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.life != nil
}

func (d *pcscDaemon) close() {
	d.pull() // one that is pulled is stopped already
	d.daemon.Close()
}

// contactless is one reader of the PC/SC daemon.
type contactless struct {
	*pcscDaemon
	slot *vpcd.Slot
	one  sync.Mutex // badge at a time
}

func (r *contactless) tap(ctx context.Context, b Badge) error {
	r.one.Lock()
	defer r.one.Unlock()
	if !r.running() {
		return errPulled
	}
	if err := r.slot.Insert(ctx, vpcd.Card{UID: b.UID}); err != nil {
		return err
	}
	select {
	case <-time.After(held):
	case <-ctx.Done():
	}
	return r.slot.Remove()
}

// wired is a reader of the ID-12LA protocol at a pseudo-terminal.
type wired struct {
	config serial.Config // Device is a link to the terminal, which has another number each time it is plugged in

	mu    sync.Mutex
	cable *os.File // the reader's end; nil: pulled
}

func newWired(dir string, id gateway.ReaderID) *wired {
	return &wired{config: serial.Config{ID: id, Device: filepath.Join(dir, string(id)+".tty"), Protocol: serial.ID12LA}}
}

func (r *wired) plug(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cable != nil {
		return errPlugged
	}
	cable, terminal, err := pty.Open()
	if err != nil {
		return fmt.Errorf("plug in %s: %w", r.config.ID, err)
	}
	name := terminal.Name()
	terminal.Close()
	os.Remove(r.config.Device) // left over where the ward was killed
	if err := os.Symlink(name, r.config.Device); err != nil {
		cable.Close()
		return fmt.Errorf("plug in %s: %w", r.config.ID, err)
	}
	r.cable = cable
	return nil
}

func (r *wired) pull() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cable == nil {
		return errPulled
	}
	err := errors.Join(os.Remove(r.config.Device), r.cable.Close())
	r.cable = nil
	return err
}

func (r *wired) tap(_ context.Context, b Badge) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cable == nil {
		return errPulled
	}
	frame, err := r.config.Encode(b.EM)
	if err != nil {
		return err
	}
	_, err = r.cable.Write(frame)
	return err
}

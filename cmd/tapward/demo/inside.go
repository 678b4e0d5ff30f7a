package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"tapward/gateway/station"
)

// inner is a ward inside its namespaces.
type inner struct {
	dir     string
	bin     string
	station *os.File // the station page's socket
	pages   []*os.File
	network *network
	pcscd   *pcscDaemon
	readers map[string]badgeReader
	hub     *hub
	wired   *wired
	box     *box
	phones  []*handset
	ended   chan error // programs that ended by themselves
}

// Inside is the second process of Ward.Run: it gets the pipe that it says "ready" on and the sockets by inheritance,
// from file 3 on. It returns when everything it started has ended: without an error where ctx ended, in order.
func Inside(ctx context.Context, dir string) error {
	ready := inherited(0)
	w := &inner{dir: dir, station: inherited(1), ended: make(chan error, 16)}
	for i := range phones {
		w.pages = append(w.pages, inherited(2+i))
	}
	err := w.start(ctx)
	if err == nil {
		err = w.serve(ctx, ready)
	}
	if ctx.Err() != nil {
		err = nil // whatever was under way was cut short
	}
	return errors.Join(err, w.stop())
}

// inherited is an open file that the first process gave, and that programs of the ward get only where they are meant to.
func inherited(n int) *os.File {
	fd := 3 + n
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "inherited")
}

// start brings everything up in the order in which it is needed, and provisions what is missing.
func (w *inner) start(ctx context.Context) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the programs: %w", err)
	}
	w.bin = filepath.Dir(self)
	for _, dir := range []string{w.path("log"), w.path("box"), w.path("serial")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the ward's folders: %w", err)
		}
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if w.network, err = layNetwork(len(phones)); err != nil {
		return err
	}
	if err := w.startReaders(ctx); err != nil {
		return err
	}
	if err := w.startHub(ctx); err != nil {
		return err
	}
	if err := w.startBox(ctx); err != nil {
		return err
	}
	for i := range phones {
		if err := w.startPhone(ctx, i); err != nil {
			return err
		}
	}
	if err := w.awaitLinks(ctx); err != nil {
		return err
	}
	return w.enrol(ctx)
}

func (w *inner) path(names ...string) string {
	return filepath.Join(append([]string{w.dir}, names...)...)
}

func (w *inner) startReaders(ctx context.Context) (err error) {
	if w.pcscd, err = startPCSC(ctx, w.path("pcscd"), 2, w.ended); err != nil {
		return err
	}
	slots := w.pcscd.daemon.Slots()
	w.wired = newWired(w.path("serial"), medRoom)
	w.readers = map[string]badgeReader{
		door:    &contactless{pcscDaemon: w.pcscd, slot: slots[0]},
		dock:    &contactless{pcscDaemon: w.pcscd, slot: slots[1]},
		medRoom: w.wired,
	}
	return w.wired.plug(ctx)
}

// awaitLinks returns when the box has a link with every phone: it heard of them over mDNS, or they of it.
func (w *inner) awaitLinks(ctx context.Context) error {
	linked, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err := await(linked, station.NewClient(w.box.socket()), everyPhoneLinked)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("wait for the phones: %w; their logs are in %s", err, w.path("log"))
	}
	return err
}

// serve says that the ward is ready and does what is asked over its socket, until ctx ends or a program ends by itself.
func (w *inner) serve(ctx context.Context, ready *os.File) error {
	orders, err := w.listen()
	if err != nil {
		return err
	}
	ready.WriteString("ready\n")
	ready.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- w.control(ctx, orders) }()
	select {
	case err := <-w.ended:
		cancel()
		return errors.Join(err, <-served)
	case err := <-served:
		return err
	}
}

// stop ends everything: the box first, while its hub, its phones and its readers are still there.
func (w *inner) stop() error {
	var errs []error
	errs = append(errs, w.box.stop(), w.hub.stop())
	for _, p := range w.phones {
		errs = append(errs, p.stop())
	}
	if w.wired != nil {
		w.wired.pull() // it may be pulled already
	}
	if w.pcscd != nil {
		w.pcscd.close()
	}
	if w.network != nil {
		w.network.close()
	}
	return errors.Join(errs...)
}

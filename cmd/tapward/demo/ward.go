package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"tapward/gateway/isolate"
)

// Ward says where a demo ward lives and is seen.
type Ward struct {
	// Dir keeps everything, so that a ward goes on where it was; made if missing.
	Dir string
	// Station is where the station page is served on this machine, Pages where the first phone's screen is; the other
	// phones take the ports after it. Port 0 takes any.
	Station, Pages string
}

// Place is where a ward that runs can be seen.
type Place struct {
	Station string            // the page's URL
	Pages   map[string]string // the URL of each phone's screen
}

// mark is a file by which a ward's folder is known.
const mark = ".demo-ward"

// Run runs the ward until ctx ends, and calls ready when badges can be tapped. It works in namespaces of its own, made
// by a second process of this program; here are only the sockets that browsers of this machine connect to.
func (w Ward) Run(ctx context.Context, ready func(Place)) error {
	dir, unlock, err := w.own()
	if err != nil {
		return err
	}
	defer unlock()
	files, place, err := w.listen()
	if err != nil {
		return err
	}
	defer closeAll(files)
	told, tell, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the ward: %w", err)
	}
	defer told.Close()

	inner := exec.Command("/proc/self/exe", "sim", "inside", dir)
	inner.Stderr = os.Stderr
	inner.ExtraFiles = append([]*os.File{tell}, files...) // as Inside expects them
	inner.SysProcAttr = isolate.Namespaces()
	inner.SysProcAttr.Setpgid = true
	inner.SysProcAttr.Pdeathsig = syscall.SIGTERM
	ended, err := launch(inner)
	tell.Close()
	if err != nil {
		return fmt.Errorf("start the ward in namespaces (this needs root, or a kernel that lets users make them): %w", err)
	}
	stop := context.AfterFunc(ctx, func() { inner.Process.Signal(syscall.SIGTERM) })
	defer stop()
	if word, _ := io.ReadAll(told); len(word) > 0 {
		ready(place)
	}
	if err := <-ended; err != nil {
		return fmt.Errorf("the ward ended: %s", exit(err))
	}
	return nil
}

// launch starts cmd on a thread that stays until it ended, since its death signal is sent when the thread ends.
func launch(cmd *exec.Cmd) (ended <-chan error, err error) {
	started, done := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			done <- cmd.Wait()
		}
	}()
	return done, <-started
}

// own makes the folder, marks it, and keeps other wards out of it.
func (w Ward) own() (dir string, unlock func(), err error) {
	fail := func(err error) (string, func(), error) {
		return "", nil, fmt.Errorf("open the ward's folder: %w", err)
	}
	if dir, err = filepath.Abs(w.Dir); err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	if others, err := os.ReadDir(dir); err != nil {
		return fail(err)
	} else if len(others) > 0 && !marked(dir) {
		return fail(fmt.Errorf("%s holds something else; name another folder", dir))
	}
	lock, err := os.OpenFile(filepath.Join(dir, mark), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fail(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return fail(fmt.Errorf("another ward runs in %s; stop it first", dir))
	}
	return dir, func() { lock.Close() }, nil
}

func marked(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, mark))
	return err == nil
}

// listen opens the station's socket and then one for every phone's page.
func (w Ward) listen() (files []*os.File, place Place, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
		}
	}()
	open := func(addr string) (string, error) {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return "", fmt.Errorf("listen at %s: %w (does another ward run? name other ports by --station and --pages)", addr, err)
		}
		defer l.Close() // the file is a duplicate
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			return "", fmt.Errorf("listen at %s: %w", addr, err)
		}
		files = append(files, file)
		return l.Addr().String(), nil
	}
	station, err := open(w.Station)
	if err != nil {
		return files, place, err
	}
	place = Place{Station: "https://" + station + "/", Pages: map[string]string{}}
	host, port, err := net.SplitHostPort(w.Pages)
	first, bad := strconv.Atoi(port)
	if err := errors.Join(err, bad); err != nil {
		return files, place, fmt.Errorf("listen at %s: %w", w.Pages, err)
	}
	for i, p := range phones {
		number := 0
		if first > 0 {
			number = first + i
		}
		page, err := open(net.JoinHostPort(host, strconv.Itoa(number)))
		if err != nil {
			return files, place, err
		}
		place.Pages[p.id] = "http://" + page + "/"
	}
	return files, place, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

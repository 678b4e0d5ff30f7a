package demo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
)

// program says what to run.
type program struct {
	name    string // of its log
	argv    []string
	env     []string
	logs    string         // the folder of its log, which grows with every start
	network netns.NsHandle // netns.None(): ours
	sockets []socket
	ended   chan<- error // told when it ends without having been stopped
}

// socket is an open listening socket that the program is to serve.
type socket struct {
	name string
	file *os.File
}

// process is a running program. One thread starts it, waits for it and ends with it: the death signal asked for is sent
// when that thread ends, so no program outlives the ward.
type process struct {
	name    string
	cmd     *exec.Cmd
	stopped atomic.Bool
	gone    chan struct{}
}

func (p program) start() (*process, error) {
	log, err := os.OpenFile(filepath.Join(p.logs, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	defer log.Close()
	run := &process{name: p.name, cmd: p.command(log), gone: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is in the program's network and ends with the goroutine
		defer close(run.gone)
		err := enter(p.network)
		if err == nil {
			err = run.cmd.Start()
		}
		started <- err
		if err != nil {
			return
		}
		err = run.cmd.Wait()
		if !run.stopped.Load() {
			p.ended <- fmt.Errorf("%s ended by itself (%v); its log is %s", p.name, exit(err), log.Name())
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return run, nil
}

func (p program) command(log io.Writer) *exec.Cmd {
	argv := p.argv
	if len(p.sockets) > 0 {
		argv = append([]string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}, argv...) // sd_listen_fds(3)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TZ=" + os.Getenv("TZ")}, p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	// The stop signal of a terminal is for the ward, which ends its programs in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var names []string
	for _, s := range p.sockets {
		cmd.ExtraFiles = append(cmd.ExtraFiles, s.file)
		names = append(names, s.name)
	}
	if len(names) > 0 {
		cmd.Env = append(cmd.Env, "LISTEN_FDS="+strconv.Itoa(len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	return cmd
}

func enter(network netns.NsHandle) error {
	if !network.IsOpen() {
		return nil
	}
	if err := netns.Set(network); err != nil {
		return fmt.Errorf("enter its network: %w", err)
	}
	return nil
}

// exit words how a program ended.
func exit(err error) string {
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return failed.String()
	}
	if err != nil {
		return err.Error()
	}
	return "exit status 0"
}

// patience is how long a program may take to end in order.
const patience = 15 * time.Second

// stop ends the program in order, or kills it when it does not heed that. It returns when the program is gone; one that
// was never started or is gone already is no error.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	p.stopped.Store(true)
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.gone:
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.gone
		return fmt.Errorf("%s did not end within %v and was killed", p.name, patience)
	}
	if state := p.cmd.ProcessState; state != nil && !state.Success() {
		return fmt.Errorf("%s ended with %s when it was asked to stop", p.name, state)
	}
	return nil
}

// kill ends the program as a power cut would, and returns when it is gone.
func (p *process) kill() {
	p.stopped.Store(true)
	p.cmd.Process.Kill()
	<-p.gone
}

package vpcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a running daemon. One thread, in namespaces of its own, starts it, waits for it and ends with it: the
// death signal asked for is sent when that thread ends.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// launch starts cmd on a thread that enter has put into namespaces.
func launch(cmd *exec.Cmd, enter func() error) (*process, error) {
	p := &process{cmd, make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer close(p.ended)
		err := enter()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			cmd.Wait() // however it ended, its log says why
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// end signals the process until it is gone; one that was stopped or does not heed an order is killed after a while.
func (p *process) end(s syscall.Signal) {
	p.cmd.Process.Signal(s)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// awaitReady returns when clients and cards can connect.
func (d *Daemon) awaitReady(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		missing := d.notReady(p.cmd.Process.Pid)
		if missing == nil {
			return nil
		}
		select {
		case <-p.ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), missing)
		case <-look.C:
		}
	}
}

// notReady says what is still missing. It does not knock at the driver's ports: that would be a card.
func (d *Daemon) notReady(pid int) error {
	client, err := net.Dial("unix", d.Socket())
	if err != nil {
		return err
	}
	client.Close()
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return err
	}
	for i := range d.slots {
		if !listening(string(table), firstPort+i) {
			return fmt.Errorf("virtual reader %d does not listen on port %d", i+1, firstPort+i)
		}
	}
	return nil
}

// listening looks for a listener on any address in the kernel's table of TCP sockets.
func listening(table string, port int) bool {
	return strings.Contains(table, fmt.Sprintf(" 00000000:%04X 00000000:0000 0A ", port))
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/vishvananda/netns"
)

// forwarder joins the connections of a socket on this machine's network to an address in another.
type forwarder struct {
	listener net.Listener
	network  netns.NsHandle
	addr     string
	ctx      context.Context // of all connections; ends with close
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// forward runs until close. The file stays the caller's.
func forward(socket *os.File, network netns.NsHandle, addr string) (*forwarder, error) {
	l, err := net.FileListener(socket)
	if err != nil {
		return nil, fmt.Errorf("forward to %s: %w", addr, err)
	}
	f := &forwarder{listener: l, network: network, addr: addr}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.running.Go(f.accept)
	return f, nil
}

func (f *forwarder) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return // closed
		}
		f.running.Go(func() { f.join(c) })
	}
}

func (f *forwarder) join(here net.Conn) {
	defer here.Close()
	var there net.Conn
	err := within(f.network, func() (err error) {
		there, err = new(net.Dialer).DialContext(f.ctx, "tcp", f.addr)
		return err
	})
	if err != nil {
		return // the browser tells that nobody answers
	}
	defer there.Close()
	defer context.AfterFunc(f.ctx, func() { here.Close(); there.Close() })()
	var back sync.WaitGroup
	back.Go(func() { pour(here, there) })
	pour(there, here)
	back.Wait()
}

// pour copies until one side ends, and passes that end on.
func pour(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil && !errors.Is(err, net.ErrClosed) {
		to.Close()
		return
	}
	if half, ok := to.(*net.TCPConn); ok {
		half.CloseWrite()
	}
}

// close ends all connections and returns when they have ended; nil is closed.
func (f *forwarder) close() {
	if f == nil {
		return
	}
	f.cancel()
	f.listener.Close()
	f.running.Wait()
}

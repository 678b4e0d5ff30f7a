package vpcd

import (
	"context"
	"fmt"
	"net"
	"runtime"

	"github.com/vishvananda/netns"
)

// dial connects to the driver, from inside the slot's network namespace where it has one.
func (s *Slot) dial(ctx context.Context) (*net.TCPConn, error) {
	var conn net.Conn
	connect := func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp4", s.Address)
		return err
	}
	var err error
	if s.Namespace == "" {
		err = connect()
	} else {
		err = inside(s.Namespace, connect)
	}
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// inside runs do with the network namespace at path. The thread is never unlocked, so that it dies with its goroutine
// and nothing else ever runs in that namespace.
func inside(path string, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- enterAnd(path, do)
	}()
	return <-done
}

func enterAnd(path string, do func() error) error {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", path, err)
	}
	defer ns.Close()
	if err := netns.Set(ns); err != nil {
		return fmt.Errorf("enter network namespace %s (needs root): %w", path, err)
	}
	return do()
}

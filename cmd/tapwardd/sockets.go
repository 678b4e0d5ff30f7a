package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"tapward/systemd"
)

// sockets are what the box listens on. Systemd may have opened them, by the names "station", "api", "phones" and
// "metrics".
type sockets struct {
	page, api, phones net.Listener
	metrics           net.Listener // nil: off
}

func openSockets(c Config) (s sockets, err error) {
	given, err := systemd.Listeners()
	if err != nil {
		return s, err
	}
	open := func(name, network, addr string) net.Listener {
		if l := given[name]; len(l) > 0 {
			return l[0]
		}
		if addr == "" { // Go would take any port on every address
			err = errors.Join(err, fmt.Errorf("listen for the %s: no address is configured, and systemd gave no socket", name))
			return nil
		}
		l, e := net.Listen(network, addr)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("listen for the %s: %w", name, e))
			return nil
		}
		return l
	}
	s.page = open("station", "tcp", c.Station.Listen)
	s.phones = open("phones", "tcp", c.Phones.Listen)
	if c.Metrics.Listen != "" {
		s.metrics = open("metrics", "tcp", c.Metrics.Listen)
	}
	if len(given["api"]) == 0 {
		err = errors.Join(err, removeStale(c.Station.Socket))
	}
	s.api = open("api", "unix", c.Station.Socket)
	if err != nil {
		return s, errors.Join(err, s.close())
	}
	if len(given["api"]) == 0 {
		if err := os.Chmod(c.Station.Socket, 0o660); err != nil {
			return s, errors.Join(fmt.Errorf("guard the local API's socket: %w", err), s.close())
		}
	}
	return s, nil
}

// removeStale removes the socket that a daemon which was killed left behind; one that still answers is another daemon's.
func removeStale(path string) error {
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("listen for the api: another tapwardd answers at %s", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("listen for the api: %s is there and is no socket; move it away", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("listen for the api: %w", err)
	}
	return nil
}

func (s sockets) close() error {
	var errs []error
	for _, l := range []net.Listener{s.page, s.api, s.phones, s.metrics} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

func (s sockets) pageAddr() string { return "https://" + s.page.Addr().String() + "/" }

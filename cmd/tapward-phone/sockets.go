package main

import (
	"errors"
	"fmt"
	"net"
)

// sockets are what a phone listens on; links and page are nil where the configuration says so.
type sockets struct{ links, page, control net.Listener }

func openSockets(c Config) (s sockets, err error) {
	open := func(what, addr string) net.Listener {
		if addr == "" {
			return nil
		}
		l, e := net.Listen("tcp", addr)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("listen for %s: %w", what, e))
			return nil
		}
		return l
	}
	s.links = open("links", c.Listen)
	s.page = open("the page", c.Page)
	control, e := listenControl(c.socket())
	if e == nil {
		s.control = control
	}
	if err = errors.Join(err, e); err != nil {
		s.close()
	}
	return s, err
}

func (s sockets) close() {
	for _, l := range []net.Listener{s.links, s.page, s.control} {
		if l != nil {
			l.Close()
		}
	}
}

func address(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

func pageURL(l net.Listener) string {
	if l == nil {
		return ""
	}
	return "http://" + l.Addr().String() + "/"
}

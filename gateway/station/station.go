// Package station is the ward's station: the page that shows who holds which phone, and the local API of the box.
//
// Both are one table of routes over one Engine. The page is served over TLS, may be looked at, and takes a phone over
// from loopback only; the API is served on a unix socket, where the operating system says who asks. The package reads a
// picture of the ward and hands acts on; it decides nothing and keeps nothing.
package station

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"tapward/gateway"
)

// Engine is what the station needs of the box.
type Engine interface {
	// Ward is the newest picture and a channel that is closed when there is a newer one. Nobody changes a picture.
	Ward() (w *gateway.Ward, changed <-chan struct{})
	// Do carries out an act and returns when it is recorded. A *gateway.Refusal and policy.Problems say that nothing
	// changed; operator goes into the audit log.
	Do(ctx context.Context, operator string, act gateway.Act) error
}

// Station serves an Engine. New starts nothing.
type Station struct {
	engine  Engine
	records Records
	names   map[string]bool
	log     *slog.Logger
	streams chan struct{} // one slot for every live page or watcher
}

// maxStreams bounds the pages and watchers that are live at once.
const maxStreams = 64

// New makes a station. The page answers to localhost, to IP addresses, to this machine's name and to the names given;
// any other name in a request is refused, so that no web site can rebind its own name to the box.
func New(engine Engine, records Records, names []string, log *slog.Logger) *Station {
	s := &Station{engine, records, map[string]bool{"localhost": true}, log, make(chan struct{}, maxStreams)}
	if host, err := os.Hostname(); err == nil {
		s.names[canonical(host)] = true
	}
	for _, name := range names {
		s.names[canonical(name)] = true
	}
	return s
}

// stopWait is how long requests under way may take to end. Live pages end at once.
const stopWait = 10 * time.Second

// Run serves the page on page, over TLS with the certificate, and the API on api, a unix socket; either may be nil. It
// returns when ctx has ended and every request with it, or when a listener fails. The listeners are closed then.
func (s *Station) Run(ctx context.Context, page net.Listener, certificate tls.Certificate, api net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	if page != nil {
		secured := tls.NewListener(page, &tls.Config{
			Certificates: []tls.Certificate{certificate},
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"h2", "http/1.1"},
		})
		group.Go(func() error { return s.serve(ctx, "station page", secured, fromNetwork) })
	}
	if api != nil {
		group.Go(func() error { return s.serve(ctx, "local API", api, fromSocket) })
	}
	return group.Wait()
}

// serve runs one server until ctx ends. Its goroutines have ended when it returns.
func (s *Station) serve(ctx context.Context, name string, l net.Listener, who func(net.Conn) caller) error {
	ending := make(chan struct{})
	server := &http.Server{
		Handler:           s.handler(ending),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return withCaller(ctx, who(c)) },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.With("server", name).Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		close(ending)
		return errors.Join(fmt.Errorf("serve %s: %w", name, err), server.Close())
	case <-ctx.Done():
	}
	close(ending)
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer cancel()
	err := errors.Join(server.Shutdown(wait), server.Close())
	<-failed
	if err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

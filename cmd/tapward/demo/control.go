package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Order is what can be asked of a ward that runs: one JSON value over its socket, answered by one.
type Order struct {
	Do    string `json:"do"`              // tap, pull, plug, restart, uplink or phone
	At    string `json:"at,omitempty"`    // the reader or the phone
	Badge string `json:"badge,omitempty"` // tap
	Act   string `json:"act,omitempty"`   // phone: a gesture of the agent; uplink: down or up
	With  string `json:"with,omitempty"`  // what that gesture needs
}

type answer struct {
	Error string `json:"error,omitempty"`
}

func controlSocket(dir string) string { return filepath.Join(dir, "sim.sock") }

// Ask has an order carried out by the ward that runs in dir, and returns when it is.
func Ask(ctx context.Context, dir string, o Order) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", controlSocket(dir))
	if err != nil {
		return fmt.Errorf("reach the demo ward in %s: %w (start it with make run, or name its folder by --dir)", dir, err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	var a answer
	if err := json.NewEncoder(c).Encode(o); err != nil {
		return fmt.Errorf("ask the demo ward: %w", err)
	}
	if err := json.NewDecoder(c).Decode(&a); err != nil {
		return fmt.Errorf("ask the demo ward: %w", err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	return nil
}

// listen opens the ward's socket. The folder's lock says that nobody else listens there.
func (w *inner) listen() (net.Listener, error) {
	path := controlSocket(w.dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen for orders: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for orders: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("listen for orders: %w", errors.Join(err, l.Close()))
	}
	return l, nil
}

// control answers orders until ctx ends, which is no error, and returns when the last is answered. It closes l.
func (w *inner) control(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	var orders sync.WaitGroup
	defer orders.Wait()
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case err != nil:
			return fmt.Errorf("hear orders: %w", err)
		}
		orders.Go(func() { w.hear(ctx, c) })
	}
}

// hear carries out one connection's order.
func (w *inner) hear(ctx context.Context, c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	var o Order
	if err := json.NewDecoder(c).Decode(&o); err != nil {
		return
	}
	var a answer
	if err := w.obey(ctx, o); err != nil {
		a.Error = err.Error()
	}
	json.NewEncoder(c).Encode(a) // whoever asked may have gone
}

func (w *inner) obey(ctx context.Context, o Order) error {
	switch o.Do {
	case "restart":
		return w.box.restart(ctx)
	case "uplink":
		return w.hub.plug(ctx, o.Act)
	case "phone":
		return w.gesture(ctx, o)
	case "tap", "pull", "plug":
	default:
		return fmt.Errorf("the ward does not know %q", o.Do)
	}
	r, known := w.readers[o.At]
	if !known {
		return fmt.Errorf("there is no reader %q; there are %s", o.At, strings.Join(slices.Sorted(maps.Keys(w.readers)), ", "))
	}
	if err := w.atReader(ctx, r, o); err != nil {
		return fmt.Errorf("%s at reader %s: %w", o.Do, o.At, err)
	}
	return nil
}

func (w *inner) atReader(ctx context.Context, r badgeReader, o Order) error {
	switch o.Do {
	case "pull":
		return r.pull()
	case "plug":
		return r.plug(ctx)
	}
	b, err := findBadge(o.Badge)
	if err != nil {
		return err
	}
	return r.tap(ctx, b)
}

package pcsc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ebfe/scard"
)

// daemon is PC/SC as this package needs it: libpcsclite in earnest.
type daemon interface {
	// establish opens a connection of its own, and gives up when ctx ends.
	establish(ctx context.Context) (connection, error)
}

// connection is a PC/SC context. Its calls block and take no deadline; one goroutine uses it, but for Cancel and
// Interrupt, which may be called by any until Release.
type connection interface {
	ListReaders() ([]string, error)
	GetStatusChange(states []scard.ReaderState, timeout time.Duration) error
	// Cancel makes a GetStatusChange that waits now return. It is forgotten if none does.
	Cancel() error
	Connect(reader string, mode scard.ShareMode) (card, error)
	// Interrupt makes whatever call is under way return at once where it can, and every later one fail.
	Interrupt()
	// Release does not wait for a daemon that hangs. Nobody else may be using the connection.
	Release() error
}

// card is a card in a reader, or with scard.ShareDirect the reader itself.
type card interface {
	Transmit(command []byte) ([]byte, error)
	Control(code uint32, command []byte) ([]byte, error)
	Disconnect(scard.Disposition) error
}

// library is libpcsclite. Its lock keeps apart everything that opens a socket to the daemon, so that a new socket can
// be told to belong to the call just made.
type library struct{ opening sync.Mutex }

func (l *library) establish(ctx context.Context) (connection, error) {
	var c *scard.Context
	socket, err := l.open(ctx, func() (err error) {
		c, err = scard.EstablishContext()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &libraryConnection{Context: c, library: l, socket: socket}, nil
}

// open makes a call that opens a socket to the daemon, and tells which. When ctx ends the call is cut off: a daemon that
// hangs takes connections and says nothing.
func (l *library) open(ctx context.Context, call func() error) (socket int, err error) {
	l.opening.Lock()
	defer l.opening.Unlock()
	before := daemonSockets()
	stop := nudge(ctx, 0, func() {
		for fd := range newSince(before) {
			cut(fd)
		}
	})
	err = call()
	stop()
	if err != nil {
		return -1, err
	}
	return only(newSince(before)), nil
}

type libraryConnection struct {
	*scard.Context
	library *library

	mu     sync.Mutex
	socket int // -1: not known, or no longer ours
}

func (c *libraryConnection) Connect(reader string, mode scard.ShareMode) (card, error) {
	protocol := scard.ProtocolT0 | scard.ProtocolT1
	if mode == scard.ShareDirect {
		protocol = scard.ProtocolUndefined
	}
	opened, err := c.Context.Connect(reader, mode, protocol)
	if err != nil {
		return nil, err
	}
	return libraryCard{opened}, nil
}

func (c *libraryConnection) Cancel() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := c.library.open(ctx, c.Context.Cancel)
	return err
}

func (c *libraryConnection) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.socket >= 0 {
		cut(c.socket)
	}
}

// Release cuts the connection first where it can: a daemon that hangs would never answer, and one that does not takes
// the end of the socket for the same.
func (c *libraryConnection) Release() error {
	c.mu.Lock()
	known := c.socket >= 0
	if known {
		cut(c.socket)
	}
	c.socket = -1
	c.mu.Unlock()
	if err := c.Context.Release(); err != nil && !(known && lost(err)) {
		return err
	}
	return nil
}

type libraryCard struct{ *scard.Card }

// Transmit refuses where the library would panic.
func (c libraryCard) Transmit(command []byte) ([]byte, error) {
	if p := c.ActiveProtocol(); p != scard.ProtocolT0 && p != scard.ProtocolT1 {
		return nil, scard.ErrProtoMismatch
	}
	return c.Card.Transmit(command)
}

// listReaders takes having none for an ordinary answer.
func listReaders(c connection) ([]string, error) {
	names, err := c.ListReaders()
	if errors.Is(err, scard.ErrNoReadersAvailable) {
		return nil, nil
	}
	return names, err
}

// explain says what an error of PC/SC as a whole means and what to do about it.
func explain(err error) error {
	code := scard.Error(0)
	if !errors.As(err, &code) {
		return err
	}
	if lost(err) {
		return fmt.Errorf("the PC/SC daemon does not answer; is pcscd running, and may this user use it? (%08X: %w)", uint32(code), err)
	}
	return fmt.Errorf("PC/SC failed (%08X: %w)", uint32(code), err)
}

// lost says that the daemon went away, that the connection to it was cut, or that the daemon hung up on us: it does so
// on users it refuses, and the library of Debian 12 tells all of these by either code.
func lost(err error) bool {
	return oneOf(err, scard.ErrNoService, scard.ErrCommError, scard.ErrServiceStopped, scard.ErrSecurityViolation)
}

func oneOf(err error, codes ...scard.Error) bool {
	return slices.ContainsFunc(codes, func(code scard.Error) bool { return errors.Is(err, code) })
}

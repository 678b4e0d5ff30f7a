package link

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"tapward/gateway"
)

// writeTimeout bounds the sending of one message; a peer that does not read by then loses the link.
const writeTimeout = 5 * time.Second

// Conn is an authenticated connection that carries messages. It is the same whichever side dialled.
type Conn struct {
	tls  *tls.Conn
	key  *ecdsa.PublicKey
	peer gateway.Fingerprint

	writing sync.Mutex
}

// Client authenticates a connection that we dialled, Server one that we accepted. Both own raw from the call on and
// close it on error or when ctx ends before the handshake does.
func Client(ctx context.Context, raw net.Conn, id Identity, known Known) (*Conn, error) {
	return authenticate(ctx, tls.Client(raw, tlsConfig(id, known)))
}

// Server is Client for the other side.
func Server(ctx context.Context, raw net.Conn, id Identity, known Known) (*Conn, error) {
	return authenticate(ctx, tls.Server(raw, tlsConfig(id, known)))
}

func authenticate(ctx context.Context, conn *tls.Conn) (*Conn, error) {
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.NetConn().Close()
		if broken(err) {
			err = &violation{err.Error()}
		}
		return nil, fmt.Errorf("authenticate link: %w", err)
	}
	key, peer, err := peerKey(conn.ConnectionState())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("authenticate link: %w", err)
	}
	return &Conn{tls: conn, key: key, peer: peer}, nil
}

// broken says that the peer did not speak TLS 1.3 as it must, rather than that the network failed, that it went away, or
// that it refused us.
func broken(err error) bool {
	var unknown *UnknownKey
	if errors.As(err, &unknown) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrClosedPipe) {
		return false
	}
	var op *net.OpError
	return !errors.As(err, &op) || op.Op == "local error" // crypto/tls: an alert that we sent
}

// Peer is the fingerprint of the key that the other side proved to hold.
func (c *Conn) Peer() gateway.Fingerprint { return c.peer }

// PeerKey is that key itself, to verify signatures with.
func (c *Conn) PeerKey() *ecdsa.PublicKey { return c.key }

// RemoteAddr is the other side's network address, for people.
func (c *Conn) RemoteAddr() string { return c.tls.RemoteAddr().String() }

// Read waits for the next message. After any error the link is of no more use. One goroutine reads at a time.
func (c *Conn) Read() (Message, error) { return ReadMessage(c.tls) }

// SetReadDeadline makes a Read that waits past t fail; zero: never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.tls.SetReadDeadline(t) }

// Write sends one message, as one TLS record where it fits, within writeTimeout. It may be called from any goroutine.
func (c *Conn) Write(m Message) error {
	frame, err := EncodeFrame(m)
	if err != nil {
		return err
	}
	return c.writeFrame(frame)
}

func (c *Conn) writeFrame(frame []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.tls.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	if _, err := c.tls.Write(frame); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// Close ends the link at once; a waiting Read returns. It never waits, so it sends no close_notify: messages carry
// their length, a cut cannot pass for an end. It may be called from any goroutine and more than once.
func (c *Conn) Close() error { return c.tls.NetConn().Close() }

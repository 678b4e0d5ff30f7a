package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// diagnose finds out why the connection does not come about: it goes through TLS with each address and only listens. A
// TLS 1.3 server tells a client what it thinks of its certificate after the client's side looks done, and a client that
// goes on to speak may lose that answer to a reset. No error: nobody refused or was absent.
func (c *Client) diagnose(ctx context.Context) error {
	var first error
	for _, u := range c.config.URLs {
		err := c.listen(ctx, u)
		if err == nil {
			continue
		}
		if _, w := c.words(err); w == refused {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

const (
	diagnoseTime = 5 * time.Second
	refusalTime  = 2 * time.Second // for the answer to the certificate
)

// listen goes through TLS with one server and waits for its refusal.
func (c *Client) listen(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("the broker's address: %w", err)
	}
	port := u.Port()
	if port == "" {
		port = "4222"
	}
	ctx, cancel := context.WithTimeout(ctx, diagnoseTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in := bufio.NewReaderSize(conn, 64<<10)
	if _, err := in.ReadSlice('\n'); err != nil { // INFO; the server says no more before TLS
		return err
	}
	config := c.tls()
	config.ServerName = u.Hostname()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	if err := secure.SetReadDeadline(time.Now().Add(refusalTime)); err != nil {
		return err
	}
	_, err = secure.Read(make([]byte, 1))
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil
	}
	return err
}

//go:build demo

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/reader"
)

// simulates says that this build takes simulated taps. Their records say that they came from no reader.
const simulates = true

// simulate takes taps from a local socket, for demonstrations: lines of a reader's id and a badge number.
func simulate(ctx context.Context, path string, events chan<- reader.Event) error {
	if path == "" {
		return nil
	}
	if err := removeStale(path); err != nil {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen for simulated taps: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		c, err := l.Accept()
		if err != nil {
			return ctx.Err()
		}
		simulated(ctx, c, events)
	}
}

// simulated reads the taps of one connection and answers each with a line.
func simulated(ctx context.Context, c net.Conn, events chan<- reader.Event) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for lines := bufio.NewScanner(c); lines.Scan(); {
		id, number, ok := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if !ok {
			fmt.Fprintln(c, "a tap is a reader's id and a badge number")
			continue
		}
		tap := reader.Tap{Tap: gateway.Tap{
			Reader: gateway.ReaderID(id), Origin: gateway.OriginSim, Credential: gateway.NewCredential(gateway.Line, []byte(number)),
			Assurance: gateway.Assurance{Card: gateway.CardNumber}, At: time.Now(),
		}}
		select {
		case events <- tap:
			fmt.Fprintln(c, "tapped")
		case <-ctx.Done():
			return
		}
	}
}

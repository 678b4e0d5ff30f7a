//go:build demo

package demo

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// directSocket is where the box of the ward in dir takes taps without a reader.
func directSocket(dir string) string { return filepath.Join(boxFolder(dir), "taps.sock") }

// TapDirectly has a badge counted as tapped at a reader, past readers and drivers. The log says so: source sim.
func TapDirectly(ctx context.Context, dir, reader, badge string) error {
	b, err := findBadge(badge)
	if err != nil {
		return err
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", directSocket(dir))
	if err != nil {
		return fmt.Errorf("tap directly: %w (only a box built with the demo tag takes such taps)", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := fmt.Fprintf(c, "%s %s\n", reader, b.Line); err != nil {
		return fmt.Errorf("tap directly: %w", err)
	}
	said, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return fmt.Errorf("tap directly: %w", err)
	}
	if said = strings.TrimSpace(said); said != "tapped" {
		return fmt.Errorf("tap directly: %s", said)
	}
	return nil
}

package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tapward/gateway"
	"tapward/gateway/station"
)

const (
	brokerPort = "4222"
	enrolPort  = "8444"
)

// hub is tapward-hub alone, with its own broker and database, as a machine of its own on the ward's network.
type hub struct {
	*inner
	ca string // fingerprint of its CA

	mu      sync.Mutex
	process *process // nil: not started, or its plug is pulled
}

// hubFolder is where a ward's hub keeps its keys, its archive and its socket.
func hubFolder(dir string) string { return filepath.Join(dir, "hub") }

// hubConfig is the hub's configuration, by which its commands find it.
func hubConfig(dir string) string { return filepath.Join(dir, "hub.toml") }

// startHub configures the hub, lets it make its keys, and starts it.
func (w *inner) startHub(ctx context.Context) error {
	h := &hub{inner: w}
	w.hub = h
	if err := os.WriteFile(hubConfig(w.dir), []byte(h.configuration()), 0o600); err != nil {
		return fmt.Errorf("configure the hub: %w", err)
	}
	ca, err := h.tell(ctx, "keys", "--make", "--only", "ca")
	if err != nil {
		return err
	}
	h.ca = strings.TrimSpace(ca)
	return h.plug(ctx, "up")
}

func (h *hub) configuration() string {
	return fmt.Sprintf("site = %q\ndata = %q\n\n[broker]\nlisten = %q\n\n[enrol]\nlisten = %q\nwalkins = true\n",
		site, hubFolder(h.dir), hubHost+":"+brokerPort, hubHost+":"+enrolPort)
}

// tell runs one of the hub's own commands.
func (h *hub) tell(ctx context.Context, args ...string) (string, error) {
	return h.run(ctx, "", "tapward-hub", append(args, "--config", hubConfig(h.dir))...)
}

var (
	errDown = errors.New("the hub's plug is pulled already")
	errUp   = errors.New("the hub's plug is in already")
)

// plug pulls the hub's plug ("down") or puts it in ("up"). A hub whose plug is pulled ends as in a power cut, whatever it
// was at; one that is plugged in has started when plug returns.
func (h *hub) plug(ctx context.Context, to string) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case to == "down" && h.process == nil:
		return errDown
	case to == "down":
		h.process.kill()
		h.process = nil
		return nil
	case to != "up":
		return fmt.Errorf("the hub's plug is put down or up, not %q", to)
	case h.process != nil:
		return errUp
	}
	h.process, err = program{
		name: "tapward-hub", logs: h.path("log"), network: h.network.hub, ended: h.ended,
		argv: []string{filepath.Join(h.bin, "tapward-hub"), "run", "--config", hubConfig(h.dir)},
	}.startReady(ctx, h.path("hub", "notify.sock"))
	return err
}

func (h *hub) stop() error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.process.stop()
}

// enrol lets a new box in, as a person does who compares the code that it shows with the hub's. It returns when the box
// is connected with the hub.
func (w *inner) enrol(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	box, why := station.NewClient(w.box.socket()), ""
	seen, err := await(limited, box, func(p *gateway.Ward) bool {
		why = p.Why
		return p.Code != "" || connected(p)
	})
	if err == nil && seen.Code != "" {
		if err = w.hub.confirm(limited, seen.Code); err == nil {
			_, err = await(limited, box, connected)
		}
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("enrol the box: %w (%s); the logs of box and hub are in %s", err, cmp.Or(why, "no reason is shown"), w.path("log"))
	}
	return err
}

func connected(w *gateway.Ward) bool { return w.Uplink.State == gateway.UplinkConnected }

// confirm lets the box in if the hub shows the code that the box shows.
func (h *hub) confirm(ctx context.Context, shown string) error {
	waiting, err := h.tell(ctx, "claims")
	if err != nil {
		return err
	}
	digits := strings.Fields(shown)
	for line := range strings.Lines(waiting) { // NUMBER BOX WARD CODE …
		if f := strings.Fields(line); len(f) >= 3+len(digits) && f[1] == boxName && slices.Equal(f[3:3+len(digits)], digits) {
			_, err := h.tell(ctx, "confirm", f[0], shown)
			return err
		}
	}
	return fmt.Errorf("the box shows the code %s, and the hub shows another:\n%s", shown, waiting)
}

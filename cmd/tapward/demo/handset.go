package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netns"

	"tapward/gateway/phone/agent"
)

// handset is a phone's agent with its folder, in a network namespace of its own.
type handset struct {
	*inner
	phone
	network netns.NsHandle
	process *process
	page    *forwarder
}

// pageAddr is where every phone serves its screen, each in its own network.
const pageAddr = "127.0.0.1:7680"

// startPhone makes a phone, pairs it with the box where it is new, starts it, and shows its screen to this machine.
func (w *inner) startPhone(ctx context.Context, i int) (err error) {
	h := &handset{inner: w, phone: phones[i], network: w.network.phones[i]}
	w.phones = append(w.phones, h)
	if err := os.MkdirAll(h.folder(), 0o700); err != nil {
		return fmt.Errorf("make %s: %w", h.id, err)
	}
	if err := os.WriteFile(h.config(), []byte(h.configuration(phoneHost(i))), 0o600); err != nil {
		return fmt.Errorf("configure %s: %w", h.id, err)
	}
	if err := h.pair(ctx); err != nil {
		return err
	}
	h.process, err = program{
		name: h.id, logs: h.path("log"), network: h.network, ended: h.ended,
		argv: []string{filepath.Join(h.bin, "tapward-phone"), "run", "--config", h.config()},
	}.start()
	if err != nil {
		return err
	}
	if h.page, err = forward(w.pages[i], h.network, pageAddr); err != nil {
		return err
	}
	return h.stand(ctx)
}

func (h *handset) folder() string { return h.path("phones", h.id) }
func (h *handset) config() string { return filepath.Join(h.folder(), "phone.toml") }

func (h *handset) configuration(host string) string {
	return fmt.Sprintf("id = %q\ndata = %q\nlisten = %q\npage = %q\nplay = true\n", h.id, h.folder(), host+":7610", pageAddr)
}

// pair lets box and phone each trust the fingerprint that the other shows, once. The phone is told last: where its file
// of trusted boxes is, both are done.
func (h *handset) pair(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(h.folder(), "boxes.json")); err == nil {
		return nil
	}
	if _, err := h.tell(ctx, "init", h.id, "--data", h.folder()); err != nil {
		return err
	}
	key, err := h.tell(ctx, "fingerprint")
	if err != nil {
		return err
	}
	if _, err := h.run(ctx, "", "tapward", "phone", "add", h.id, "--key", strings.TrimSpace(key), "--class", h.class,
		"--pool", pool, "--data", boxFolder(h.dir), "--yes", "--socket", h.box.socket()); err != nil {
		return err
	}
	box, err := h.box.fingerprint()
	if err != nil {
		return err
	}
	_, err = h.tell(ctx, "trust", boxName, box)
	return err
}

// tell runs one of the phone's own commands.
func (h *handset) tell(ctx context.Context, args ...string) (string, error) {
	return h.run(ctx, "", "tapward-phone", append(args, "--config", h.config())...)
}

// stand gives a phone that has just started its charge, and puts one that nobody holds into its rack. Where the phone
// of a session lies nobody knows.
func (h *handset) stand(ctx context.Context) error {
	if err := h.awaitControl(ctx); err != nil {
		return err
	}
	shown, err := h.tell(ctx, "ctl", "show")
	if err != nil {
		return err
	}
	var v agent.View
	if err := json.Unmarshal([]byte(shown), &v); err != nil {
		return fmt.Errorf("look at %s: %w", h.id, err)
	}
	if _, err := h.tell(ctx, "ctl", "battery", strconv.Itoa(h.battery)); err != nil || v.Screen != agent.ScreenFree {
		return err
	}
	_, err = h.tell(ctx, "ctl", "dock", h.slot)
	return err
}

func (h *handset) stop() error {
	err := h.process.stop()
	h.page.close()
	return err
}

// gesture makes something happen to a phone's body.
func (w *inner) gesture(ctx context.Context, o Order) error {
	i := slices.IndexFunc(w.phones, func(h *handset) bool { return h.id == o.At })
	if i < 0 {
		return fmt.Errorf("there is no phone %q; there are %s to %s", o.At, phones[0].id, phones[len(phones)-1].id)
	}
	if err := (agent.Gesture{Do: o.Act, With: o.With}).Check(); err != nil {
		return err
	}
	_, err := w.phones[i].tell(ctx, "ctl", o.Act, o.With)
	return err
}

// awaitControl returns when the phone listens for what happens to it.
func (h *handset) awaitControl(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(h.folder(), "control.sock"))
		if err == nil {
			return c.Close()
		}
		select {
		case <-h.process.gone:
			return fmt.Errorf("start %s: it ended at once; its log is in %s", h.id, h.path("log"))
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w", h.id, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

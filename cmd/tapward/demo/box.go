package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vishvananda/netns"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// box is tapwardd with its folder.
type box struct {
	*inner
	mu      sync.Mutex
	process *process // nil: not started
}

// boxFolder is where a ward's box keeps its database, its keys and its socket.
func boxFolder(dir string) string { return filepath.Join(dir, "box") }

// BoxSocket is the path of the local API of the box of the ward in dir.
func BoxSocket(dir string) string { return filepath.Join(boxFolder(dir), "tapward.sock") }

func (b *box) socket() string { return BoxSocket(b.dir) }

// startBox makes the box's keys and configuration, starts it, and gives it its policy where it has none.
func (w *inner) startBox(ctx context.Context) error {
	b := &box{inner: w}
	w.box = b
	if _, err := w.run(ctx, "", "tapward", "keys", "--data", boxFolder(w.dir), "--box", boxName); err != nil {
		return err
	}
	if err := os.WriteFile(w.path("box.toml"), []byte(b.config()), 0o600); err != nil {
		return fmt.Errorf("configure the box: %w", err)
	}
	if err := b.start(ctx); err != nil {
		return err
	}
	return b.loadPolicy(ctx)
}

// config is the box's configuration. Readers are matched as a real box's are; the station's socket is handed over.
func (b *box) config() string {
	var text strings.Builder
	fmt.Fprintf(&text, "box = %q\nward = %q\ndata = %q\nsim = %q\n\n[phones]\nlisten = %q\ninterfaces = [%q]\n",
		boxName, wardID, boxFolder(b.dir), directSocket(b.dir), boxHost+":"+phonesPort, bridge)
	fmt.Fprintf(&text, "\n[uplink]\nsite = %q\nhub = \"https://%s\"\nca = %q\n", site, hubHost+":"+enrolPort, b.hub.ca)
	for _, id := range []string{door, dock} {
		fmt.Fprintf(&text, "\n[[pcsc]]\nid = %q\nmatch = %q\n", id, b.readers[id].(*contactless).slot.Name)
	}
	fmt.Fprintf(&text, "\n[[serial]]\nid = %q\ndevice = %q\nprotocol = %q\n", medRoom, b.wired.config.Device, b.wired.config.Protocol)
	return text.String()
}

func (b *box) start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.startLocked(ctx)
}

func (b *box) startLocked(ctx context.Context) (err error) {
	b.process, err = program{
		name: "tapwardd", logs: b.path("log"), network: netns.None(), ended: b.ended,
		argv:    []string{filepath.Join(b.bin, "tapwardd"), "--config", b.path("box.toml"), "--trace", b.path("log", "trace")},
		env:     []string{"PCSCLITE_CSOCK_NAME=" + b.pcscd.daemon.Socket()},
		sockets: []socket{{"station", b.station}},
	}.startReady(ctx, b.path("box", "notify.sock"))
	return err
}

// restart kills the daemon as a power cut would, and starts it. A ward whose box does not start again ends.
func (b *box) restart(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.process.kill()
	err := b.startLocked(ctx)
	if err != nil {
		b.ended <- err
	}
	return err
}

func (b *box) stop() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.process.stop()
}

// loadPolicy makes the ward's policy with the badges' hashes and loads it, once.
func (b *box) loadPolicy(ctx context.Context) error {
	file := b.path("policy.toml")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	hashes := map[string][]string{}
	for _, badge := range badges() {
		for kind, number := range map[gateway.CredentialKind]string{
			gateway.UID: fmt.Sprintf("%X", badge.UID), gateway.EM: fmt.Sprintf("%X", badge.EM), gateway.Line: badge.Line,
		} {
			hash, err := b.run(ctx, number+"\n", "tapward", "badge", "hash", "--data", boxFolder(b.dir), "--kind", string(kind))
			if err != nil {
				return err
			}
			hashes[badge.Name] = append(hashes[badge.Name], strings.TrimSpace(hash))
		}
	}
	draft := file + ".new"
	if err := os.WriteFile(draft, []byte(document(hashes)), 0o600); err != nil {
		return fmt.Errorf("write the policy: %w", err)
	}
	if _, err := b.run(ctx, "", "tapward", "policy", "load", draft, "--socket", b.socket()); err != nil {
		return err
	}
	return os.Rename(draft, file)
}

// fingerprint is that of the box's key to phones.
func (b *box) fingerprint() (string, error) {
	id, err := link.LoadIdentity(filepath.Join(boxFolder(b.dir), "link-key"))
	if err != nil {
		return "", err
	}
	return id.Fingerprint().String(), nil
}

// run runs one of the project's own commands to its end and returns what it printed.
func (w *inner) run(ctx context.Context, input, name string, args ...string) (string, error) {
	return command(ctx, w.bin, input, name, args...)
}

// command runs a program of a folder to its end.
func command(ctx context.Context, bin, input, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Stdin = strings.NewReader(input)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(problem.String()))
	}
	return out.String(), nil
}

package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/phone/link"
	"tapward/gateway/station"
)

// patience is how long a test waits for what must happen; it is long because machines that test are busy.
const patience = 30 * time.Second

// testBox is a box as it stands on a ward: the real program with its folder, killed and started again as one likes.
type testBox struct {
	t        testing.TB
	program  string
	config   Config
	path     string // of the configuration
	identity link.Identity
	badges   gateway.BadgeKey
	verifier note.Verifier // of its checkpoints
	client   *station.Client
	running  *process
}

const (
	testWard  = "5b"
	testPool  = "ward-phones"
	phonePort = "127.0.0.1:7600"
)

// newBox makes a box's folder, keys and configuration; change may add to the configuration. Nothing runs yet.
func newBox(t testing.TB, change func(*Config)) *testBox {
	t.Helper()
	dir := t.TempDir()
	b := &testBox{t: t, program: build(t, dir, "tapwardd", ""), path: filepath.Join(dir, "tapwardd.toml")}
	b.config = Config{
		Box: "box-a", Ward: testWard, Data: filepath.Join(dir, "data"),
		Station: Station{Listen: "127.0.0.1:8443", Socket: filepath.Join(dir, "api.sock")},
		Phones:  Phones{Listen: phonePort, Quiet: true},
	}
	change(&b.config)
	b.makeKeys()
	text, err := toml.Marshal(b.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, b.path, text)
	b.client = station.NewClient(b.config.Station.Socket)
	t.Cleanup(b.kill)
	return b
}

func (b *testBox) makeKeys() {
	b.t.Helper()
	if err := os.Mkdir(b.config.Data, 0o700); err != nil {
		b.t.Fatal(err)
	}
	var err error
	if b.identity, err = link.NewIdentity(string(b.config.Box)); err != nil {
		b.t.Fatal(err)
	}
	secret, public, err := audit.NewKey(rand.Reader, b.config.Box)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.verifier, err = note.NewVerifier(public); err != nil {
		b.t.Fatal(err)
	}
	rand.Read(b.badges[:])
	write(b.t, filepath.Join(b.config.Data, "link-key"), b.identity.PEM())
	write(b.t, filepath.Join(b.config.Data, "log-key"), []byte(secret))
	write(b.t, filepath.Join(b.config.Data, "badge-key"), []byte(base64.StdEncoding.EncodeToString(b.badges[:])))
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// start returns when the box has told systemd, played here, that it is ready.
func (b *testBox) start() {
	b.t.Helper()
	ready := b.launch()
	defer ready.Close()
	if err := b.running.awaitReady(ready); err != nil {
		b.t.Fatalf("tapwardd did not become ready: %v\n%s", err, b.log())
	}
}

// launch starts the program and returns the socket on which it will say that it is ready.
func (b *testBox) launch() *net.UnixConn {
	b.t.Helper()
	path := filepath.Join(filepath.Dir(b.path), "notify.sock")
	os.Remove(path)
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		b.t.Fatal(err)
	}
	log, err := os.OpenFile(b.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(b.program, "--config", b.path)
	cmd.Stderr = log
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path)
	if b.running, err = spawn(cmd); err != nil {
		b.t.Fatal(err)
	}
	return ready
}

func (b *testBox) logPath() string { return filepath.Join(filepath.Dir(b.path), "tapwardd.log") }

// log is the end of what the program has said.
func (b *testBox) log() string {
	text, _ := os.ReadFile(b.logPath())
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// kill is a power cut, as far as one program can have it. A box that is not running is no error.
func (b *testBox) kill() {
	if b.running != nil {
		b.running.cmd.Process.Kill()
		<-b.running.ended
		b.running = nil
	}
}

// stop ends the box in order, which must succeed.
func (b *testBox) stop() {
	b.t.Helper()
	b.running.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.running.ended:
	case <-time.After(patience):
		b.t.Fatalf("tapwardd did not end\n%s", b.log())
	}
	if !b.running.cmd.ProcessState.Success() {
		b.t.Fatalf("tapwardd ended with %s\n%s", b.running.cmd.ProcessState, b.log())
	}
	b.running = nil
}

var errSeen = errors.New("seen")

// await returns the first picture of the ward that is as it should be.
func (b *testBox) await(what string, ok func(*gateway.Ward) bool) *gateway.Ward {
	b.t.Helper()
	w, err := b.look(ok)
	if err != nil {
		b.t.Fatalf("%s: %v\n%+v\n%s", what, err, w, b.log())
	}
	return w
}

// look returns the last picture it saw with the error.
func (b *testBox) look(ok func(*gateway.Ward) bool) (last *gateway.Ward, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = b.client.Watch(ctx, func(w *gateway.Ward) error {
		if last = w; ok(w) {
			return errSeen
		}
		return nil
	})
	if errors.Is(err, errSeen) {
		err = nil
	}
	return last, err
}

// must carries out an operator's act.
func (b *testBox) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// process is a program that dies with us.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// spawn starts cmd from a thread that stays until the program ends, since the kernel ends it with that thread.
func spawn(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{cmd, make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer close(p.ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	return p, <-started
}

// awaitReady reads notifications until READY=1 or the program's end.
func (p *process) awaitReady(from *net.UnixConn) error {
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-p.ended:
		case <-time.After(patience):
		case <-over:
		}
		from.SetReadDeadline(time.Unix(1, 0))
	}()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return fmt.Errorf("no READY=1 came: %w", err)
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			return nil
		}
	}
}

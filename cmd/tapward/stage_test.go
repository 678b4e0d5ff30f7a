package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"

	"tapward/gateway"
	"tapward/gateway/kernel"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/link"
	"tapward/gateway/station"
	"tapward/reader/serial"
	"tapward/reader/vpcd"
)

// patience bounds every wait of a story.
const patience = 30 * time.Second

// stage is what a story has running around it.
type stage struct {
	daemon *exec.Cmd
	reader *os.File // the reader's end of the pty
	undo   []func()
}

type onStage struct{} // key of a story's stage

func on(ts *testscript.TestScript) *stage { return ts.Value(onStage{}).(*stage) }

// clear ends everything, newest first, whatever became of the story.
func (s *stage) clear() {
	if s.daemon != nil {
		s.daemon.Process.Kill()
		s.daemon.Wait()
	}
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
}

// ward starts tapwardd on box.toml and returns when it says READY, or stops it; "kill" is a crash. What it logs goes to
// daemon.log.
func ward(ts *testscript.TestScript, neg bool, args []string) {
	s := on(ts)
	switch args[0] {
	case "start":
		ts.Check(s.start(ts, args[1:]))
	case "stop":
		ts.Check(s.daemon.Process.Signal(syscall.SIGTERM))
		ts.Check(s.daemon.Wait())
		s.daemon = nil
	case "kill":
		ts.Check(s.daemon.Process.Kill())
		s.daemon.Wait()
		s.daemon = nil
	default:
		ts.Fatalf("usage: ward start|stop|kill")
	}
}

func (s *stage) start(ts *testscript.TestScript, args []string) error {
	said, err := os.OpenFile(ts.MkAbs("daemon.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer said.Close()
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: ts.MkAbs("notify"), Net: "unixgram"})
	if err != nil {
		return err
	}
	defer os.Remove(ts.MkAbs("notify"))
	defer told.Close()
	daemon := exec.Command(filepath.Join(firstOf(ts.Getenv("PATH")), "tapwardd"), append([]string{"--config", ts.MkAbs("box.toml")}, args...)...)
	daemon.Env = append(os.Environ(), "NOTIFY_SOCKET="+ts.MkAbs("notify"), "PCSCLITE_CSOCK_NAME="+ts.Getenv("PCSCLITE_CSOCK_NAME"))
	daemon.Dir, daemon.Stderr = ts.MkAbs("."), said
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		return err
	}
	s.daemon = daemon
	if err := told.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for word := make([]byte, 1024); ; {
		n, err := told.Read(word)
		if err != nil {
			return fmt.Errorf("tapwardd did not get ready: %w", err)
		}
		if strings.Contains(string(word[:n]), "READY=1") {
			return nil
		}
	}
}

func firstOf(list string) string {
	first, _, _ := strings.Cut(list, string(filepath.ListSeparator))
	return first
}

// openSerial makes a serial port, a pty, whose path is in $PORT.
func openSerial(ts *testscript.TestScript, neg bool, args []string) {
	master, slave, err := pty.Open()
	ts.Check(err)
	s := on(ts)
	s.reader = master
	s.undo = append(s.undo, func() { master.Close(); slave.Close() })
	ts.Setenv("PORT", slave.Name())
}

// tap sends a badge's number from the reader and returns when the person has been told something.
func tap(ts *testscript.TestScript, neg bool, args []string) {
	number, err := hex.DecodeString(args[0])
	ts.Check(err)
	frame, err := serial.Config{Protocol: serial.ID12LA}.Encode(number)
	ts.Check(err)
	before := -1
	watch(ts, func(w *gateway.Ward) bool {
		if before < 0 {
			before = len(w.Taps)
			_, err := on(ts).reader.Write(frame)
			ts.Check(err)
		}
		return len(w.Taps) > before && w.Taps[0].Signal != gateway.Seen
	})
}

// await returns when a phone is in a phase, or linked, or when a reader is in a state.
func await(ts *testscript.TestScript, neg bool, args []string) {
	watch(ts, func(w *gateway.Ward) bool {
		for _, p := range w.Phones {
			if string(p.ID) == args[0] && (p.Phase == args[1] || args[1] == "linked" && p.Linked && p.Healthy) {
				return true
			}
		}
		for _, r := range w.Readers {
			if string(r.ID) == args[0] && r.State.String() == args[1] {
				return true
			}
		}
		return false
	})
}

// watch returns when a picture of the ward shows what is waited for.
func watch(ts *testscript.TestScript, shows func(*gateway.Ward) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var last *gateway.Ward
	err := station.NewClient(ts.Getenv("TAPWARD_SOCKET")).Watch(ctx, func(w *gateway.Ward) error {
		if last = w; shows(w) {
			return io.EOF
		}
		return nil
	})
	if err != io.EOF {
		ts.Fatalf("what was waited for did not come: %v; the ward was %+v", err, last)
	}
}

// startPhone runs a phone that the box reaches at $ADDR and knows by $KEY.
func startPhone(ts *testscript.TestScript, neg bool, args []string) {
	own, err := link.NewIdentity(args[0])
	ts.Check(err)
	box, err := link.LoadIdentity(filepath.Join(ts.Getenv("DATA"), linkKey))
	ts.Check(err)
	folder := ts.MkAbs(args[0])
	ts.Check(os.Mkdir(folder, 0o700))
	file := filepath.Join(folder, "state")
	ts.Check(agent.CreateStateFile(file, gateway.PhoneID(args[0])))
	kept, state, err := agent.OpenStateFile(file)
	ts.Check(err)
	boot, err := kernel.BootID()
	ts.Check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	a := agent.New(agent.Config{
		Phone: gateway.PhoneID(args[0]), Identity: own, State: state, Store: kept,
		Device: agent.Workspace{Root: folder}, Boxes: []agent.Box{{ID: gateway.BoxID(args[1]), Key: box.Fingerprint()}},
		Version: "story", Listen: listener, BootID: boot, Boot: kernel.Uptime, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	on(ts).undo = append(on(ts).undo, func() { cancel(); <-done; kept.Close() })
	ts.Setenv("ADDR", listener.Addr().String())
	ts.Setenv("KEY", own.Fingerprint().String())
}

// startPCSCD starts the real PC/SC daemon with one virtual reader.
func startPCSCD(ts *testscript.TestScript, neg bool, args []string) {
	folder, err := os.MkdirTemp("", "pcscd") // short enough for a socket's path
	ts.Check(err)
	d, err := vpcd.New(vpcd.Rig{Dir: folder, Readers: 1})
	ts.Check(err)
	on(ts).undo = append(on(ts).undo, func() { d.Close(); os.RemoveAll(folder) })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ts.Check(d.Start(ctx))
	ts.Setenv("PCSCLITE_CSOCK_NAME", d.Socket())
}

// hold takes a UDP port for itself alone.
func hold(ts *testscript.TestScript, neg bool, args []string) {
	c, err := net.ListenPacket("udp4", args[0])
	ts.Check(err)
	on(ts).undo = append(on(ts).undo, func() { c.Close() })
}

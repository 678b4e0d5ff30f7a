package link

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/isolate"
	"tapward/gateway/phone"
)

func TestMain(m *testing.M) {
	if os.Getenv(wardBox) != "" {
		runWardBox()
		return
	}
	isolate.Main(m)
}

const (
	wardBox    = "TAPWARD_WARD_BOX" // set: this process is the box of TestWardOfPhones
	wardPhones = 200
	handshakes = 32 // at a time: with all of them at once a slow machine would need longer than the box waits for one
)

// TestWardOfPhones links 200 phones to a box in a process of its own, which holds nothing but the links, and looks at
// what that process costs.
func TestWardOfPhones(t *testing.T) {
	box := exec.Command("/proc/self/exe")
	var pins []string
	phones := make([]*peer, wardPhones)
	for i := range phones {
		phones[i] = newPeer(t, gateway.PhoneID(fmt.Sprintf("phone-%03d", i)))
		pins = append(pins, string(phones[i].name)+"="+phones[i].id.Fingerprint().String())
	}
	box.Env = append(os.Environ(), wardBox+"=1")
	box.Stdin, box.Stderr = strings.NewReader(strings.Join(pins, "\n")+"\n"), os.Stderr
	box.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := box.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		box.Process.Signal(syscall.SIGTERM)
		if err := box.Wait(); err != nil {
			t.Errorf("box: %v", err)
		}
	}()
	lines := bufio.NewScanner(said)
	say := func() string {
		if !lines.Scan() {
			t.Fatal("the box ended early")
		}
		return lines.Text()
	}
	addr, empty := say(), resident(t, box.Process.Pid)
	began := time.Now()
	turns := make(chan struct{}, handshakes)
	each(phones, func(p *peer) {
		turns <- struct{}{}
		defer func() { <-turns }()
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		p.over(raw).greet()
	})
	if t.Failed() {
		return
	}
	if got := say(); got != fmt.Sprint(wardPhones, " linked") {
		t.Fatalf("the box says %q", got)
	}
	took, used := time.Since(began), cpu(t, box.Process.Pid)
	const rounds = 15 // a minute of statuses, back to back
	for range rounds {
		each(phones, func(p *peer) {
			p.send(p.status(NewNonce()))
			p.acked()
		})
	}
	minute, linked := cpu(t, box.Process.Pid)-used, resident(t, box.Process.Pid)
	t.Logf("%d phones linked in %s; box resident %d KiB empty, %d KiB linked; a minute of statuses costs it %s of CPU",
		wardPhones, took.Round(time.Millisecond), empty>>10, linked>>10, minute)
	if linked >= residentLimit {
		t.Errorf("box resident %d bytes with %d phones linked, want under %d", linked, wardPhones, residentLimit)
	}
}

// acked waits for an ack and passes over the pings that a box sends to a phone that was long quiet.
func (p *peer) acked() {
	p.t.Helper()
	for {
		members, body, err := p.next()
		if err != nil {
			p.t.Fatalf("phone waits for an ack: %v", err)
		}
		switch members["type"] {
		case string(TypeAck):
			return
		case string(TypePing):
		default:
			p.t.Fatalf("phone waits for an ack, the box sent %s", body)
		}
	}
}

func each(phones []*peer, do func(*peer)) {
	var all sync.WaitGroup
	for _, p := range phones {
		all.Go(func() { do(p) })
	}
	all.Wait()
}

// runWardBox reads pins, says its address and when all are linked, and runs until it is told to end.
func runWardBox() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	id, err := NewIdentity("box-1")
	must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	out := make(chan phone.Report)
	cfg := Config{Box: "box-1", Identity: id, Listen: listener, Out: out, Log: slog.New(slog.DiscardHandler)}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		name, key, _ := strings.Cut(lines.Text(), "=")
		var pinned gateway.Fingerprint
		must(pinned.UnmarshalText([]byte(key)))
		cfg.Phones = append(cfg.Phones, gateway.Phone{ID: gateway.PhoneID(name), Key: pinned})
	}
	fmt.Println(listener.Addr())
	go func() {
		linked := 0
		for r := range out {
			if _, ok := r.(phone.Linked); ok {
				if linked++; linked == len(cfg.Phones) {
					fmt.Println(linked, "linked")
				}
			}
		}
	}()
	if err := New(cfg).Run(ctx); err != context.Canceled {
		must(err)
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "ward box:", err)
		os.Exit(1)
	}
}

func resident(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// cpu is the time that pid has used, in ticks of 10 ms.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), ") ") // the name before it may hold spaces
	fields := strings.Fields(after)
	var ticks int
	for _, f := range fields[11:13] { // utime and stime, proc_pid_stat(5)
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

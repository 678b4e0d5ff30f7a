package enrol_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/sync/claim"
	box "tapward/sync/enrol"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/enrol"
)

const childEnv = "TAPWARD_TEST_JOIN"

// child is what the box's process is told.
type child struct {
	Folder, Secret, LogKey, Hub string
	Subject                     claim.Subject
	Pin, Link                   gateway.Fingerprint
}

// joinUntilKilled makes this process a box that asks, where its parent wants that: it prints the code and the end.
func joinUntilKilled() bool {
	text := os.Getenv(childEnv)
	if text == "" {
		return false
	}
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		panic(err)
	}
	a := box.Applicant{Subject: c.Subject, Ward: "icu", Hub: c.Hub, Pin: c.Pin, Link: c.Link, LogKey: c.LogKey, Log: must(note.NewSigner(c.Secret))}
	show := func(p box.Progress) {
		if p.Trouble == "" {
			fmt.Println("code", string(p.Code))
		}
	}
	if _, err := box.Join(context.Background(), c.Folder, a, show, slog.New(slog.DiscardHandler)); err != nil {
		fmt.Println("failed", err)
		return true
	}
	fmt.Println("enrolled")
	return true
}

// process is a box in a process of its own.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func (c child) start(t *testing.T) *process {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+string(must(json.Marshal(c))))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &process{t, cmd, bufio.NewScanner(out)}
}

// line is the next thing that it says; empty when it has ended.
func (p *process) line() string {
	if p.lines.Scan() {
		return p.lines.Text()
	}
	return ""
}

func (p *process) kill() {
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	for p.line() != "" {
	}
	if err := p.cmd.Wait(); err == nil {
		p.t.Fatal("it ended by itself")
	}
}

// TestBoxIsKilledInTheMiddle kills the box with -9 while it shows the code, when it was confirmed, and at the moment when
// the hub has made the certificate and the box may or may not have stored it.
func TestBoxIsKilledInTheMiddle(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	for round := range 4 {
		id := fmt.Sprintf("box-%d", round)
		a := h.applicant(id)
		secret, public := must2(newLogKey(id))
		c := child{Folder: t.TempDir(), Secret: secret, LogKey: public, Hub: a.Hub, Subject: a.Subject, Pin: a.Pin, Link: a.Link}
		p := c.start(t)
		code := p.line()
		p.kill()
		p = c.start(t)
		if again := p.line(); again != code || !strings.HasPrefix(code, "code ") {
			t.Fatalf("the box showed %q, and after it was killed %q", code, again)
		}
		issued := make(chan struct{}, 1)
		h.events.mu.Lock()
		h.events.each = func(v enrol.Event) {
			if v.Kind == enrol.Issued && v.Subject == a.Subject {
				issued <- struct{}{}
			}
		}
		h.events.mu.Unlock()
		if round%2 == 0 { // dead while it was confirmed
			p.kill()
		}
		confirmed := h.pending(a.Subject)
		if err := h.Confirm(t.Context(), confirmed.Claim, claim.Code(strings.TrimPrefix(code, "code ")), "Ines"); err != nil {
			t.Fatal(err)
		}
		if round%2 == 0 {
			p = c.start(t)
		}
		<-issued
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for p.line() != "" {
		}
		p.cmd.Wait() // it may have come to its end
		p = c.start(t)
		said := p.line()
		if said == code {
			said = p.line()
		}
		if said != "enrolled" {
			t.Fatalf("round %d: the box says %q", round, said)
		}
		p.cmd.Wait()
		e := must(box.Load(c.Folder, slog.New(slog.DiscardHandler)))
		if _, _, refused, err := h.Authorize(t.Context(), e.Certificate().Leaf); refused != "" || err != nil {
			t.Errorf("round %d: %q, %v", round, refused, err)
		}
		if left := must(os.ReadDir(c.Folder)); len(left) != 1 {
			t.Errorf("round %d: the folder holds %v", round, left)
		}
	}
	if n := h.events.count(enrol.Issued); n != 4 {
		t.Errorf("%d certificates for 4 boxes", n)
	}
}

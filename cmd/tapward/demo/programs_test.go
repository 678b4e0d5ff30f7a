package demo

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programNames are those that a ward needs.
var programNames = []string{"tapward", "tapwardd", "tapward-phone", "tapward-hub"}

// build makes the programs as the demo ward needs them, once for all tests, and returns their folder.
var build = sync.OnceValues(func() (string, error) {
	bin, err := os.MkdirTemp("", "tapward-demo-")
	if err != nil {
		return "", err
	}
	args := []string{"build", "-tags", "demo", "-o", bin}
	for _, name := range programNames {
		args = append(args, "tapward/cmd/"+name)
	}
	make := exec.Command("go", args...)
	make.Stderr = os.Stderr
	return bin, make.Run()
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, _ := build(); bin != "" {
		os.RemoveAll(bin)
	}
	os.Exit(code)
}

// programs is the folder of the programs, and the tool in it.
func programs(t *testing.T) (bin, tool string) {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatalf("build the programs: %v", err)
	}
	return bin, filepath.Join(bin, "tapward")
}

// anyPorts lets wards run beside each other.
var anyPorts = []string{"--station", "127.0.0.1:0", "--pages", "127.0.0.1:0"}

// running is a ward that runs as a program.
type running struct {
	t      *testing.T
	tool   string
	dir    string
	cmd    *exec.Cmd
	stderr bytes.Buffer
	screen []string // what it told when it opened, by words
}

// openWard starts a ward and returns when it says that it is open.
func openWard(t *testing.T, dir string) *running {
	t.Helper()
	_, tool := programs(t)
	r := &running{t: t, tool: tool, dir: dir}
	r.cmd = exec.Command(tool, append([]string{"sim", "ward", dir}, anyPorts...)...)
	r.cmd.Stderr = &r.stderr
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.cmd.Process.Kill(); r.cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		r.screen = append(r.screen, strings.Fields(lines.Text())...)
		if strings.HasPrefix(lines.Text(), "Ctrl-C closes") {
			return r
		}
	}
	t.Fatalf("the ward did not open: %v\n%s", r.cmd.Wait(), r.stderr.String())
	return nil
}

// do runs a command of the tool on the ward and returns what it said, and its exit code.
func (r *running) do(args ...string) (said string, code int) {
	r.t.Helper()
	cmd := exec.Command(r.tool, args...)
	cmd.Env = append(os.Environ(), "TAPWARD_DEMO="+r.dir, "TAPWARD_SOCKET="+BoxSocket(r.dir))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// interrupt is Ctrl-C. It returns the exit code.
func (r *running) interrupt() int {
	r.t.Helper()
	r.cmd.Process.Signal(syscall.SIGINT)
	return r.wait()
}

// wait returns the exit code when the ward has ended.
func (r *running) wait() int {
	r.t.Helper()
	kill := time.AfterFunc(time.Minute, func() { r.cmd.Process.Kill() })
	defer kill.Stop()
	r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode()
}

// alive are the processes whose command line holds both texts, by number.
func alive(t *testing.T, program, dir string) (pids []int) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(dir)) || !strings.Contains(string(bytes.SplitN(line, []byte{0}, 2)[0]), program) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

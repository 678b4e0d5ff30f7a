package systemd_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tapward/systemd"
)

// manager is systemd's end of the notification socket.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

func next(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func watchdog(t *testing.T, limit, pid string) systemd.Watchdog {
	t.Helper()
	t.Setenv("WATCHDOG_USEC", limit)
	t.Setenv("WATCHDOG_PID", pid)
	w, err := systemd.NewWatchdog()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestNotifications(t *testing.T) {
	conn := manager(t)
	w := watchdog(t, "20000000", strconv.Itoa(os.Getpid()))
	for _, test := range []struct {
		tell func() error
		want string
	}{
		{systemd.Ready, "READY=1"},
		{func() error { return systemd.Status("3 readers,\nREADY=1 is no message here") }, "STATUS=3 readers, READY=1 is no message here"},
		{w.Pet, "WATCHDOG=1"},
		{systemd.Stopping, "STOPPING=1"},
	} {
		if err := test.tell(); err != nil {
			t.Fatal(err)
		}
		if got := next(t, conn); got != test.want {
			t.Errorf("systemd heard %q, want %q", got, test.want)
		}
	}
}

func TestWatchdogInterval(t *testing.T) {
	me := strconv.Itoa(os.Getpid())
	for _, test := range []struct {
		limit, pid string
		want       time.Duration
	}{
		{"20000000", me, 10 * time.Second},
		{"20000000", "", 10 * time.Second},
		{"20000000", "1", 0}, // asked of another process
		{"", "", 0},
	} {
		if got := watchdog(t, test.limit, test.pid).Interval(); got != test.want {
			t.Errorf("limit %q of process %q: interval %v, want %v", test.limit, test.pid, got, test.want)
		}
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	if _, err := systemd.NewWatchdog(); err == nil {
		t.Error("a watchdog time that is no number was taken")
	}
}

func TestOutsideSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("LISTEN_PID", "")
	w := watchdog(t, "", "")
	for _, err := range []error{systemd.Ready(), systemd.Stopping(), systemd.Status("up"), w.Pet()} {
		if err != nil {
			t.Error(err)
		}
	}
	if listeners, err := systemd.Listeners(); err != nil || len(listeners) != 0 {
		t.Errorf("listeners %v, error %v; want none", listeners, err)
	}
}

func TestASocketThatIsGoneIsAnError(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	if err := systemd.Ready(); err == nil || !strings.HasPrefix(err.Error(), "tell systemd READY=1:") {
		t.Errorf("error %v, want one that names what could not be told", err)
	}
}

// A petting watchdog that nobody wants must not reach systemd.
func TestAnUnwantedPetIsSilent(t *testing.T) {
	conn := manager(t)
	if err := watchdog(t, "", "").Pet(); err != nil {
		t.Fatal(err)
	}
	if err := systemd.Ready(); err != nil {
		t.Fatal(err)
	}
	if got := next(t, conn); got != "READY=1" {
		t.Errorf("systemd heard %q first, want READY=1", got)
	}
}

const activated = "SYSTEMD_TEST_ACTIVATED"

// Sockets are handed over by number to a process of their own, which is this test again. It takes a connection on each
// and answers with the socket's name.
func TestListeners(t *testing.T) {
	if os.Getenv(activated) != "" {
		serveActivated(t)
		return
	}
	api := listen(t, "unix", filepath.Join(t.TempDir(), "api.sock"))
	station := listen(t, "tcp", "127.0.0.1:0")
	cmd := activate(t, "api:station", api, station)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		listener net.Listener
	}{{"api", api}, {"station", station}} {
		conn, err := net.Dial(test.listener.Addr().Network(), test.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		buf := make([]byte, 100)
		if n, err := conn.Read(buf); err != nil || string(buf[:n]) != test.name {
			t.Errorf("%s answered %q, error %v", test.name, buf[:n], err)
		}
		conn.Close()
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A datagram socket in the unit file is the operator's mistake, and is said.
func TestASocketThatCannotListen(t *testing.T) {
	if os.Getenv(activated) != "" {
		t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
		if listeners, err := systemd.Listeners(); err == nil || listeners != nil || !strings.Contains(err.Error(), `"dgram"`) {
			t.Errorf("listeners %v, error %v; want an error that names the socket", listeners, err)
		}
		return
	}
	api := listen(t, "unix", filepath.Join(t.TempDir(), "api.sock"))
	datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	if out, err := activate(t, "api:dgram", api, datagrams).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func serveActivated(t *testing.T) {
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	listeners, err := systemd.Listeners()
	if err != nil || len(listeners) != 2 {
		t.Fatalf("listeners %v, error %v; want two", listeners, err)
	}
	for _, name := range []string{"api", "station"} {
		conn, err := listeners[name][0].Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte(name))
		conn.Close()
	}
	if again, err := systemd.Listeners(); err != nil || len(again) != 0 {
		t.Errorf("a second call gave %v, error %v; want none", again, err)
	}
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// activate is this test in another process, with those sockets from descriptor 3 on, as systemd starts it.
func activate(t *testing.T, names string, sockets ...any) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), activated+"=1", "LISTEN_FDS="+strconv.Itoa(len(sockets)), "LISTEN_FDNAMES="+names)
	for _, s := range sockets {
		f, err := s.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	return cmd
}

func TestCredential(t *testing.T) {
	directory := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", directory)
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	write("badge-key", []byte("a secret\x00with any bytes"))
	write("empty", nil)
	write("huge", make([]byte, 1<<20+1))

	if secret, err := systemd.Credential("badge-key"); err != nil || string(secret) != "a secret\x00with any bytes" {
		t.Errorf("read %q, error %v", secret, err)
	}
	for name, want := range map[string]string{
		"log-key":       "LoadCredential=log-key",
		"empty":         "empty",
		"huge":          "more than",
		"../etc/passwd": "../etc/passwd",
		".":             "not a file",
	} {
		secret, err := systemd.Credential(name)
		if err == nil || secret != nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("credential %q: read %d bytes, error %v; want one that says %q", name, len(secret), err, want)
		}
	}
	if _, err := systemd.Credential("log-key"); !errors.Is(err, systemd.ErrNoCredential) {
		t.Errorf("error %v, want ErrNoCredential", err)
	}

	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if _, err := systemd.Credential("badge-key"); !errors.Is(err, systemd.ErrNoCredential) || !strings.Contains(err.Error(), "CREDENTIALS_DIRECTORY") {
		t.Errorf("error %v, want ErrNoCredential and the variable's name", err)
	}
}

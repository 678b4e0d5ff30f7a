package mdns

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// avahi is a site on which Avahi, the independent implementation, does mDNS; with a D-Bus of its own.
type avahi struct {
	*site
	bus string
}

const busConf = `<busconfig>
<type>system</type><listen>%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy>
</busconfig>`

const avahiConf = `[server]
host-name=avahi-peer
allow-interfaces=eth0
use-ipv4=yes
use-ipv6=yes
ratelimit-interval-usec=0
[publish]
publish-workstation=no
publish-hinfo=no
`

func newAvahi(w *ward, addrs ...string) avahi {
	t := w.t
	t.Helper()
	dir := t.TempDir()
	a := avahi{w.site(addrs...), "unix:path=" + filepath.Join(dir, "bus")}

	// Avahi keeps its pid file and socket in a place fixed when it was compiled; ours lies over it in this mount
	// namespace only.
	must(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount("/run", unix.MNT_DETACH)) })
	must(t, os.Mkdir("/run/avahi-daemon", 0o755))
	// It gives that place to its own user, which a namespace of an ordinary user's does not have: here it is root.
	a.overlay("/etc/passwd", "root:x:0:0::/:/bin/sh\navahi:x:0:0::/:/bin/sh\n")
	a.overlay("/etc/group", "root:x:0:\navahi:x:0:\n")

	must(t, os.WriteFile(filepath.Join(dir, "bus.conf"), fmt.Appendf(nil, busConf, a.bus), 0o600))
	bus := exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--print-address", "--config-file="+filepath.Join(dir, "bus.conf"))
	a.startUntil(bus, bus.StdoutPipe, "unix:")

	must(t, os.WriteFile(filepath.Join(dir, "avahi.conf"), []byte(avahiConf), 0o600))
	daemon := a.command("avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "--file="+filepath.Join(dir, "avahi.conf"))
	a.startUntil(daemon, daemon.StderrPipe, "Server startup complete")
	return a
}

// overlay lays another content over a file, in this mount namespace only and until the test ends.
func (a avahi) overlay(path, content string) {
	a.t.Helper()
	over := filepath.Join(a.t.TempDir(), filepath.Base(path))
	must(a.t, os.WriteFile(over, []byte(content), 0o644))
	must(a.t, unix.Mount(over, path, "", unix.MS_BIND, ""))
	a.t.Cleanup(func() { must(a.t, unix.Unmount(path, unix.MNT_DETACH)) })
}

func (a avahi) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+a.bus, "LC_ALL=C")
	return cmd
}

// startUntil starts cmd and waits for a line of its output that holds word.
func (a avahi) startUntil(cmd *exec.Cmd, output func() (io.ReadCloser, error), word string) (stop func()) {
	a.t.Helper()
	l := a.lines(output)
	stop = a.start(cmd)
	l.read()
	l.await(word)
	return stop
}

// publish has Avahi advertise until stop is called, which sends the goodbye.
func (a avahi) publish(name string, port int, txt TXT) (stop func()) {
	a.t.Helper()
	cmd := a.command("avahi-publish", append([]string{"-s", name, PhoneService, fmt.Sprint(port)}, txt.Strings()...)...)
	return a.startUntil(cmd, cmd.StderrPipe, "Established")
}

// watch has Avahi browse and resolve.
func (a avahi) watch(service string) *lines {
	a.t.Helper()
	cmd := a.command("avahi-browse", "--parsable", "--resolve", service)
	l := a.lines(cmd.StdoutPipe)
	a.start(cmd)
	l.read()
	return l
}

// awaitListed asks Avahi, which resolves a name once in each browsing, until a line of its answer holds all words.
func (a avahi) awaitListed(service string, words ...string) {
	a.t.Helper()
	var listed []byte
	for begun := time.Now(); time.Since(begun) < patience; {
		cmd := a.command("avahi-browse", "--parsable", "--resolve", "--terminate", service)
		var err error
		listed, err = cmd.Output()
		must(a.t, err)
		for line := range strings.Lines(string(listed)) {
			if holds(line, words) {
				return
			}
		}
	}
	a.t.Fatalf("no line with %q in %v, but %q", words, patience, listed)
}

func holds(line string, words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
}

// lines is what a program prints.
type lines struct {
	t      *testing.T
	output io.Reader
	line   chan string
}

func (a avahi) lines(output func() (io.ReadCloser, error)) *lines {
	a.t.Helper()
	pipe, err := output()
	must(a.t, err)
	return &lines{a.t, pipe, make(chan string, 4096)}
}

func (l *lines) read() {
	go func() {
		defer close(l.line)
		for s := bufio.NewScanner(l.output); s.Scan(); {
			l.line <- s.Text()
		}
	}()
}

// await is the next line that holds all words.
func (l *lines) await(words ...string) string {
	l.t.Helper()
	deadline := time.After(patience)
	var before []string
	for {
		select {
		case line, open := <-l.line:
			if !open {
				l.t.Fatalf("ended without %q, after %q", words, before)
			}
			if holds(line, words) {
				return line
			}
			before = append(before, line)
		case <-deadline:
			l.t.Fatalf("no line with %q in %v, but %q", words, patience, before)
		}
	}
}

func TestAvahiFindsOurAdvert(t *testing.T) {
	w := layWard(t)
	a := newAvahi(w, "10.77.0.2/24")
	seen := a.watch(PhoneService)
	k := keyOf("7")
	stop := advertise(t, Advert{Service: PhoneService, Instance: "phone-07", Port: 7000, TXT: TXT{ID: "phone-07", Key: k}})
	line := seen.await("=;eth0;IPv4;phone-07;"+PhoneService+";local;", ";10.77.0.1;7000;")
	for _, s := range []string{`"v=1"`, `"id=phone-07"`, `"fp=` + hex.EncodeToString(k[:]) + `"`} {
		if !strings.Contains(line, s) {
			t.Errorf("avahi-browse says %s; want %s in it", line, s)
		}
	}
	stop()
	seen.await("-;eth0;IPv4;phone-07;" + PhoneService)
}

func TestAvahiFindsOurAdvertOnANewAddress(t *testing.T) {
	w := layWard(t)
	a := newAvahi(w, "10.77.0.2/24")
	advertise(t, Advert{Service: BoxService, Instance: "ward-3", Port: 7443, TXT: TXT{ID: "ward-3"}})
	a.watch(BoxService).await("=;eth0;IPv4;ward-3;", ";10.77.0.1;7443;")
	w.readdress(boxAddr, "10.77.0.99/24")
	a.awaitListed(BoxService, "=;", ";IPv4;ward-3;", ";10.77.0.99;7443;")
}

func TestWeFindWhatAvahiPublishes(t *testing.T) {
	w := layWard(t)
	a := newAvahi(w, "10.77.0.2/24")
	l := browse(t, withPace(often))
	stop := a.publish("phone-07", 7000, TXT{ID: "phone-07", Key: keyOf("7")})
	if s := l.await("phone-07", "10.77.0.2:7000"); s.Key != keyOf("7") {
		t.Errorf("found %+v", s)
	}
	stop() // its goodbye
	a.readdress("10.77.0.70/24")
	a.publish("phone-07", 7001, TXT{ID: "phone-07", Key: keyOf("7")})
	l.await("phone-07", "10.77.0.70:7001")

	// Avahi tells of a changed address without repeating the service; only who asks again learns of it.
	a.readdress("10.77.0.71/24")
	l.await("phone-07", "10.77.0.71:7001")
}

func TestSpoofOnAvahiHidesNobody(t *testing.T) {
	w := layWard(t)
	a := newAvahi(w, "10.77.0.66/24")
	l := browse(t, withPace(once))
	a.publish("phone-07", 6666, TXT{ID: "phone-07", Key: keyOf("7")})
	l.await("phone-07", "10.77.0.66:6666")
	real := w.site("10.77.0.7/24")
	real.phones(part{"phone-07", keyOf("7"), 7000})
	l.await("phone-07", "10.77.0.7:7000")
}

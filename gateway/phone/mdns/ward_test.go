package mdns

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	wardName = "ward0" // the bridge that the tests' own namespace is on
	boxAddr  = "10.77.0.1/24"
)

// ward is the bridge that joins all sites, with an address of the box on it.
type ward struct {
	t      *testing.T
	cables int
}

func layWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{t: t}
	t.Cleanup(w.tearDown)
	w.lay()
	return w
}

func (w *ward) lay() {
	w.t.Helper()
	snoop := false
	must(w.t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: wardName}, MulticastSnooping: &snoop}))
	// An address that the kernel makes would change the box's network by itself a second later.
	must(w.t, netlink.LinkSetIP6AddrGenMode(w.link(), nl.IN6_ADDR_GEN_MODE_NONE))
	for _, a := range []string{boxAddr, "fd77::1/64", "fe80::1/64"} {
		must(w.t, netlink.AddrAdd(w.link(), address(w.t, a)))
	}
	must(w.t, netlink.LinkSetUp(w.link()))
}

func (w *ward) link() netlink.Link {
	w.t.Helper()
	link, err := netlink.LinkByName(wardName)
	must(w.t, err)
	return link
}

func (w *ward) tearDown() {
	w.t.Helper()
	must(w.t, netlink.LinkDel(w.link()))
}

// readdress gives the box another address.
func (w *ward) readdress(from, to string) {
	w.t.Helper()
	must(w.t, netlink.AddrDel(w.link(), address(w.t, from)))
	must(w.t, netlink.AddrAdd(w.link(), address(w.t, to)))
}

// site is another machine: a network namespace with one interface, eth0, plugged into the ward.
type site struct {
	*ward
	space  netns.NsHandle
	kernel *netlink.Handle
	cable  string // the ward's end of eth0
}

func (w *ward) site(addrs ...string) *site {
	w.t.Helper()
	w.cables++
	s := &site{ward: w, cable: "cable" + strconv.Itoa(w.cables)}
	inside(w.t, func() error {
		var err error
		s.space, err = netns.New()
		return err
	})
	w.t.Cleanup(func() { s.space.Close() })
	var err error
	s.kernel, err = netlink.NewHandleAt(s.space)
	must(w.t, err)
	w.t.Cleanup(s.kernel.Close)
	s.plugIn(addrs...)
	w.t.Cleanup(s.unplug)
	return s
}

func (s *site) plugIn(addrs ...string) {
	s.t.Helper()
	must(s.t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: s.cable}, PeerName: "eth0", PeerNamespace: netlink.NsFd(s.space),
	}))
	s.connect()
	must(s.t, s.kernel.LinkSetIP6AddrGenMode(s.eth0(), nl.IN6_ADDR_GEN_MODE_NONE))
	s.readdress(addrs...)
	must(s.t, s.kernel.LinkSetUp(s.eth0()))
}

// connect puts the ward's end of the cable into the bridge.
func (s *site) connect() {
	s.t.Helper()
	end, err := netlink.LinkByName(s.cable)
	must(s.t, err)
	must(s.t, netlink.LinkSetMaster(end, s.link()))
	must(s.t, netlink.LinkSetUp(end))
}

func (s *site) unplug() {
	s.t.Helper()
	end, err := netlink.LinkByName(s.cable)
	must(s.t, err)
	must(s.t, netlink.LinkDel(end))
}

// readdress takes the addresses of eth0 away and gives it these.
func (s *site) readdress(addrs ...string) {
	s.t.Helper()
	old, err := s.kernel.AddrList(s.eth0(), netlink.FAMILY_V4)
	must(s.t, err)
	for _, a := range old {
		must(s.t, s.kernel.AddrDel(s.eth0(), &a))
	}
	for _, a := range addrs {
		must(s.t, s.kernel.AddrAdd(s.eth0(), address(s.t, a)))
	}
}

func (s *site) eth0() netlink.Link {
	s.t.Helper()
	link, err := s.kernel.LinkByName("eth0")
	must(s.t, err)
	return link
}

// start runs cmd at the site until the test ends, or stop is called.
func (s *site) start(cmd *exec.Cmd) (stop func()) {
	s.t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	inside(s.t, func() error {
		if err := netns.Set(s.space); err != nil {
			return err
		}
		return cmd.Start()
	})
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		}
	}
	s.t.Cleanup(stop)
	return stop
}

// phones advertises at the site from another process. The goodbyes are on the wire when stop returned.
func (s *site) phones(parts ...part) (stop func()) {
	s.t.Helper()
	script, err := json.Marshal(parts)
	must(s.t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), played+"="+string(script), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	must(s.t, err)
	s.start(cmd)
	ended := false
	stop = func() {
		if !ended {
			ended = true
			input.Close()
			cmd.Wait()
		}
	}
	s.t.Cleanup(stop)
	return stop
}

func manyParts(n int) (parts []part, names []string) {
	for i := range n {
		name := fmt.Sprintf("phone-%02d", i)
		parts = append(parts, part{name, keyOf(name), uint16(7000 + i)})
		names = append(names, name)
	}
	return parts, names
}

// inside runs f on a thread that may change namespaces, and brings the thread back.
func inside(t *testing.T, f func() error) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	must(t, err)
	defer home.Close()
	err = f()
	must(t, netns.Set(home))
	must(t, err)
}

func address(t *testing.T, text string) *netlink.Addr {
	t.Helper()
	a, err := netlink.ParseAddr(text)
	must(t, err)
	a.Flags = unix.IFA_F_NODAD
	return a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

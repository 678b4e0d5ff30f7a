package link

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// The ward's Wi-Fi as it often is: no connection from the box to a phone, and no multicast. These rules hold in the
// box's namespace, which is the test's own.
const isolatingWiFi = `
table inet ward {
	chain out {
		type filter hook output priority 0;
		ip daddr 224.0.0.0/4 drop
		ip daddr 10.99.0.2 tcp flags & (syn|ack) == syn drop
	}
	chain in {
		type filter hook input priority 0;
		ip daddr 224.0.0.0/4 drop
	}
}`

// TestLinkThroughAnIsolatingNetwork holds that the phone's own connection is enough for everything.
func TestLinkThroughAnIsolatingNetwork(t *testing.T) {
	ward := joinWard(t)
	p := newPeer(t, "phone-01")
	atPhone := ward.listen(t, "10.99.0.2:0")
	reached := make(chan struct{}, 8)
	go func() {
		for {
			c, err := atPhone.Accept()
			if err != nil {
				return
			}
			c.Close()
			reached <- struct{}{}
		}
	}()
	hear, shout := ward.multicast(t)

	// Without the rules both ways are open, so the test would notice if the rules did nothing.
	dialTo(t, atPhone.Addr().String(), nil)
	<-reached
	if !hear(shout()) {
		t.Fatal("multicast does not pass although nothing drops it")
	}
	apply(t, isolatingWiFi)
	dialTo(t, atPhone.Addr().String(), context.DeadlineExceeded)
	if hear(shout()) {
		t.Fatal("multicast still passes")
	}

	paired := p.paired()
	paired.Addrs = []string{atPhone.Addr().String()}
	b := newBox(t, func(c *Config) {
		l, err := net.Listen("tcp", "10.99.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c.Listen = l
	}, paired)
	p = p.over(ward.dial(t, b.cfg.Listen.Addr().String())).greet()
	b.report(phone.Linked{})
	b.Send(bindOf(p, 1), "Dr Example")
	p.send(p.answer(p.order(), gateway.Bound, nil))
	b.report(phone.Answer{})
	b.Send(gateway.Command{Kind: gateway.Release, Phone: p.name, Expect: 1, Next: 2, Grant: grantOf(p, 1)}, "")
	p.send(p.answer(p.order(), gateway.Cleared, nil))
	b.report(phone.Answer{})
	if len(reached) != 0 {
		t.Error("the box reached the phone through the rules")
	}
}

// phoneSide is a network namespace joined to the test's own by a cable: 10.99.0.1 here, 10.99.0.2 there.
type phoneSide struct{ ns netns.NsHandle }

func joinWard(t *testing.T) phoneSide {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	check(t, err)
	defer here.Close()
	there, err := netns.New()
	check(t, err)
	t.Cleanup(func() { there.Close() })
	check(t, netns.Set(here))

	check(t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "ward-box"},
		PeerName:  "ward-phone", PeerNamespace: netlink.NsFd(there),
	}))
	up(t, "ward-box", "10.99.0.1/24")
	side := phoneSide{there}
	side.do(t, func() { up(t, "ward-phone", "10.99.0.2/24") })
	t.Cleanup(func() {
		if l, err := netlink.LinkByName("ward-box"); err == nil {
			netlink.LinkDel(l)
		}
	})
	return side
}

// do runs f with its sockets on the phone's side; they stay there.
func (s phoneSide) do(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	check(t, err)
	defer here.Close()
	check(t, netns.Set(s.ns))
	defer func() { check(t, netns.Set(here)) }()
	f()
}

func (s phoneSide) listen(t *testing.T, addr string) (l net.Listener) {
	t.Helper()
	s.do(t, func() {
		var err error
		l, err = net.Listen("tcp", addr)
		check(t, err)
	})
	t.Cleanup(func() { l.Close() })
	return l
}

func (s phoneSide) dial(t *testing.T, addr string) (c net.Conn) {
	t.Helper()
	s.do(t, func() {
		var err error
		c, err = net.Dial("tcp", addr)
		check(t, err)
	})
	return c
}

// multicast is a phone that shouts to the mDNS group and a box that may hear it. The shout is followed by a unicast
// datagram on the same socket, so that hear need not wait for what will not come.
func (s phoneSide) multicast(t *testing.T) (hear func(string) bool, shout func() string) {
	t.Helper()
	cable, err := net.InterfaceByName("ward-box")
	check(t, err)
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5399}
	box, err := net.ListenMulticastUDP("udp4", cable, group)
	check(t, err)
	t.Cleanup(func() { box.Close() })
	direct := &net.UDPAddr{IP: net.IPv4(10, 99, 0, 1), Port: group.Port}
	var mouth *net.UDPConn
	s.do(t, func() {
		mouth, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 99, 0, 2)})
		check(t, err)
	})
	t.Cleanup(func() { mouth.Close() })
	shout = func() string {
		words := NewNonce()
		_, err := mouth.WriteToUDP([]byte(words), group)
		check(t, err)
		_, err = mouth.WriteToUDP([]byte("that was all"), direct)
		check(t, err)
		return words
	}
	hear = func(words string) (heard bool) {
		buffer := make([]byte, 64)
		for {
			n, _, err := box.ReadFromUDP(buffer)
			check(t, err)
			switch string(buffer[:n]) {
			case words:
				heard = true
			case "that was all":
				return heard
			}
		}
	}
	return hear, shout
}

func up(t *testing.T, name, address string) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	check(t, err)
	a, err := netlink.ParseAddr(address)
	check(t, err)
	check(t, netlink.AddrAdd(l, a))
	check(t, netlink.LinkSetUp(l))
	_, all, err := net.ParseCIDR("224.0.0.0/4")
	check(t, err)
	check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: all, Scope: netlink.SCOPE_LINK}))
}

func apply(t *testing.T, rules string) {
	t.Helper()
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(rules)
	if words, err := nft.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, words)
	}
	t.Cleanup(func() { exec.Command("nft", "delete", "table", "inet", "ward").Run() })
}

// dialTo connects from the box's side and wants this error; nil: none.
func dialTo(t *testing.T, addr string, want error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	if want != nil {
		ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	}
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		c.Close()
	}
	var late net.Error
	if timedOut := errors.As(err, &late) && late.Timeout(); (want == nil) != (err == nil) || want != nil && !timedOut {
		t.Fatalf("dialling %s: %v, want %v", addr, err, want)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

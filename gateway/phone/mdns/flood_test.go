package mdns

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/net/ipv4"

	"tapward/gateway"
)

// flood sends adverts of invented phones as fast as the wire takes them, until the test ends; each 10,000 are told.
func (s *site) flood() <-chan int {
	s.t.Helper()
	var conn *net.UDPConn
	inside(s.t, func() (err error) {
		if err = netns.Set(s.space); err != nil {
			return err
		}
		conn, err = net.ListenUDP("udp4", &group4)
		return err
	})
	must(s.t, ipv4.NewPacketConn(conn).SetMulticastInterface(&net.Interface{Index: s.eth0().Attrs().Index}))

	const placeholder = "phone-0000000"
	template := string(packet(s.t, true, strings.Split(strings.ReplaceAll(strings.Join(advert, "\n"), "phone-07", placeholder), "\n")...))
	sent := make(chan int)
	during(s.t, func(ctx context.Context) error {
		defer conn.Close()
		for i := 1; ; i++ {
			if i%10_000 == 0 {
				select {
				case sent <- i:
				case <-ctx.Done():
				}
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			name := fmt.Sprintf("phone-%07d", i)
			if _, err := conn.WriteTo([]byte(strings.ReplaceAll(template, placeholder, name)), &group4); err != nil {
				return err
			}
		}
	})
	return sent
}

func TestAFloodOfNamesIsSurvived(t *testing.T) {
	w := layWard(t)
	attacker, real := w.site("10.77.0.66/24"), w.site("10.77.0.7/24")
	attempts := make(chan int, 100)
	b := withPace(func(attempt int) time.Duration {
		attempts <- attempt
		return time.Hour
	})
	b.Known = func(name string, _ gateway.Fingerprint) bool { return name == "ours" }
	l := browse(t, b)
	<-attempts
	before := heap()

	sent := attacker.flood()
	<-sent
	real.phones(part{"ours", keyOf("ours"), 7000})
	l.await("ours", "10.77.0.7:7000")
	deadline := time.After(patience)
	for last := 0; last < 2; { // the library was made to forget, more than once
		select {
		case last = <-attempts:
		case <-sent:
		case <-deadline:
			t.Fatalf("its resolvers were replaced %d times", last)
		}
	}
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

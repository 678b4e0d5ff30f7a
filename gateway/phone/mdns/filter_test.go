package mdns

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

var start = time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC)

const wardIndex = 3

func wardNetwork() network {
	return network{
		ifaces: []net.Interface{{Index: wardIndex, Name: "ward0"}},
		prefixes: map[int][]netip.Prefix{wardIndex: {
			netip.MustParsePrefix("10.77.0.1/24"), netip.MustParsePrefix("fd77::1/64"), netip.MustParsePrefix("fe80::1/64"),
		}},
	}
}

func claimOf(name string, addrs ...string) claim {
	c := claim{instance: name, port: 7000, text: TXT{ID: name, Key: key}.Strings()}
	for _, a := range addrs {
		c.addrs = append(c.addrs, netip.MustParseAddr(a))
	}
	return c
}

func addrs(s phone.Sighting) string {
	var text []string
	for _, a := range s.Addrs {
		text = append(text, a.String())
	}
	return strings.Join(text, " ")
}

func TestAdmittedAddresses(t *testing.T) {
	many := make([]string, 20)
	for i := range many {
		many[i] = fmt.Sprintf("10.77.0.%d", 10+i)
	}
	for name, test := range map[string]struct {
		iface int
		addrs []string
		want  string
	}{
		"ours":                      {wardIndex, []string{"10.77.0.7", "fd77::7"}, "10.77.0.7:7000 [fd77::7]:7000"},
		"twice":                     {wardIndex, []string{"10.77.0.7", "10.77.0.7"}, "10.77.0.7:7000"},
		"another subnet":            {wardIndex, []string{"10.78.0.7", "8.8.8.8", "2001:db8::1"}, ""},
		"loopback":                  {wardIndex, []string{"127.0.0.1", "::1"}, ""},
		"multicast, none":           {wardIndex, []string{"224.0.0.251", "0.0.0.0", "::"}, ""},
		"link-local, interface":     {wardIndex, []string{"fe80::7"}, "[fe80::7%ward0]:7000"},
		"link-local, none told":     {0, []string{"fe80::7", "10.77.0.7"}, "10.77.0.7:7000"},
		"an interface not chosen":   {9, []string{"10.77.0.7"}, ""},
		"the first eight of twenty": {0, many, "10.77.0.10:7000 10.77.0.11:7000 10.77.0.12:7000 10.77.0.13:7000 10.77.0.14:7000 10.77.0.15:7000 10.77.0.16:7000 10.77.0.17:7000"},
	} {
		c := claimOf("phone-07", test.addrs...)
		c.iface = test.iface
		s, err := newFilter(Ports{}, nil).admit(c, wardNetwork(), start)
		if (err == nil) != (test.want != "") || addrs(s) != test.want {
			t.Errorf("%s: %q, %v; want %q", name, addrs(s), err, test.want)
		}
	}
}

func TestAdmittedNamesAndPorts(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*claim)
		want string
	}{
		"plain":                     {func(*claim) {}, "phone-07"},
		"instance renamed":          {func(c *claim) { c.instance = `phone-07\ #2` }, "phone-07"},
		"no id":                     {func(c *claim) { c.text = []string{"v=1"} }, "phone-07"},
		"no id, a name of escapes":  {func(c *claim) { c.text, c.instance = []string{"v=1"}, `\027[2J` }, ""},
		"no id, empty name":         {func(c *claim) { c.text, c.instance = []string{"v=1"}, "" }, ""},
		"no TXT":                    {func(c *claim) { c.text = nil }, ""},
		"port of another programme": {func(c *claim) { c.port = 22 }, ""},
		"port above":                {func(c *claim) { c.port = 7011 }, ""},
		"last port":                 {func(c *claim) { c.port = 7010 }, "phone-07"},
	} {
		c := claimOf("phone-07", "10.77.0.7")
		test.edit(&c)
		s, err := newFilter(Ports{7000, 7010}, nil).admit(c, wardNetwork(), start)
		if (err == nil) != (test.want != "") || s.Name != test.want {
			t.Errorf("%s: %q, %v; want %q", name, s.Name, err, test.want)
		}
	}
}

func TestNobodyPushesOutAnother(t *testing.T) {
	f, n := newFilter(Ports{}, nil), wardNetwork()
	for _, a := range []string{"10.77.0.66", "10.77.0.7"} {
		if _, err := f.admit(claimOf("phone-07", a), n, start); err != nil {
			t.Errorf("claim of %s: %v", a, err)
		}
	}
}

func TestRepeatsAreHeldBackForAWhile(t *testing.T) {
	f, n := newFilter(Ports{}, nil), wardNetwork()
	c := claimOf("phone-07", "10.77.0.7")
	admitted := 0
	for ms := range 25_000 {
		if _, err := f.admit(c, n, start.Add(time.Duration(ms)*time.Millisecond)); err == nil {
			admitted++
		}
	}
	if admitted != 3 { // at 0, 10 and 20 s
		t.Errorf("told %d times in 25 s; want 3", admitted)
	}
}

func TestAFloodIsBoundedAndTheKnownGetThrough(t *testing.T) {
	known := func(name string, _ gateway.Fingerprint) bool { return name == "phone-07" }
	f, n := newFilter(Ports{}, known), wardNetwork()
	strangers, real := 0, 0
	for i := range 20_000 { // in 5 s
		now := start.Add(time.Duration(i) * 250 * time.Microsecond)
		if _, err := f.admit(claimOf(fmt.Sprintf("forged-%d", i), "10.77.0.66"), n, now); err == nil {
			strangers++
		}
		if i == 10_000 {
			if _, err := f.admit(claimOf("phone-07", "10.77.0.7"), n, now); err == nil {
				real++
			}
		}
	}
	if limit := strangerBurst + 5*strangerPerSecond; strangers > limit || strangers < strangerBurst {
		t.Errorf("%d of 20000 forged names passed on; want %d to %d", strangers, strangerBurst, limit)
	}
	if real != 1 {
		t.Error("the paired phone was crowded out")
	}
}

func TestOneNameIsBounded(t *testing.T) {
	always := func(string, gateway.Fingerprint) bool { return true }
	f, n := newFilter(Ports{}, always), wardNetwork()
	admitted := 0
	for i := range 2_000 { // in 2 s, every one another address or port
		c := claimOf("phone-07", fmt.Sprintf("10.77.0.%d", i%250))
		c.port = 2000 + i
		if _, err := f.admit(c, n, start.Add(time.Duration(i)*time.Millisecond)); err == nil {
			admitted++
		}
	}
	if admitted > nameBurst+2*namePerSecond {
		t.Errorf("%d claims of one name passed on in 2 s", admitted)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	f, n := newFilter(Ports{}, nil), wardNetwork()
	var last string
	for i := range 3 * maxNames {
		last = fmt.Sprintf("forged-%d", i)
		if _, err := f.admit(claimOf(last, "10.77.0.66"), n, start.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.names) != maxNames || f.names[last] == nil || f.names["forged-0"] != nil {
		t.Errorf("%d names remembered; want the newest %d", len(f.names), maxNames)
	}
	for i := range 100 {
		c := claimOf(last, "10.77.0.66")
		c.port += i
		f.admit(c, n, start.Add(time.Duration(4*maxNames+i)*time.Second))
	}
	if got := len(f.names[last].recent); got > nameBurst {
		t.Errorf("%d proposals of one name remembered", got)
	}
}

func TestLocalIsOfTheInterface(t *testing.T) {
	n := wardNetwork()
	n.prefixes[4] = []netip.Prefix{netip.MustParsePrefix("192.168.1.1/24")}
	a := netip.MustParseAddr("192.168.1.9")
	if got := []bool{n.local(0, a), n.local(4, a), n.local(wardIndex, a), n.local(9, a)}; !slices.Equal(got, []bool{true, true, false, false}) {
		t.Errorf("by any, its own, another, no interface: %v", got)
	}
}

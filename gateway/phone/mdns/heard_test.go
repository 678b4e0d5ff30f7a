package mdns

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tapward/gateway"
)

func record(t testing.TB, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

func packet(t testing.TB, response bool, records ...string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.Response = response
	for _, text := range records {
		m.Answer = append(m.Answer, record(t, text))
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var advert = []string{
	`_tapward-phone._tcp.local. 120 IN PTR phone-07._tapward-phone._tcp.local.`,
	`phone-07._tapward-phone._tcp.local. 120 IN SRV 0 0 7000 a.local.`,
	`phone-07._tapward-phone._tcp.local. 120 IN TXT "v=1" "id=phone-07"`,
	`a.local. 120 IN A 10.77.0.7`,
	`a.local. 120 IN AAAA fd77::7`,
}

func TestPacketGivesWholeAdverts(t *testing.T) {
	upper := make([]string, len(advert))
	for i, text := range advert {
		upper[i] = strings.NewReplacer("_tcp", "_TCP", "a.local. 120", "A.LOCAL. 120").Replace(text)
	}
	for name, records := range map[string][]string{"as sent by us": advert, "in other letters": upper} {
		claims := fromPacket(packet(t, true, records...), PhoneService)
		if len(claims) != 1 {
			t.Fatalf("%s: %d claims", name, len(claims))
		}
		c := claims[0]
		want := []netip.Addr{netip.MustParseAddr("10.77.0.7"), netip.MustParseAddr("fd77::7")}
		if c.instance != "phone-07" || c.port != 7000 || !slices.Equal(c.addrs, want) || !slices.Equal(c.text, []string{"v=1", "id=phone-07"}) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestPacketGivesNothing(t *testing.T) {
	goodbye := slices.Clone(advert)
	for i := range goodbye {
		goodbye[i] = strings.Replace(goodbye[i], " 120 ", " 0 ", 1)
	}
	for name, b := range map[string][]byte{
		"question":        packet(t, false, advert...),
		"goodbye":         packet(t, true, goodbye...),
		"no address":      packet(t, true, advert[:3]...),
		"other service":   packet(t, true, strings.ReplaceAll(strings.Join(advert[1:2], ""), "-phone", ""), advert[3]),
		"nothing at all":  nil,
		"cut off":         packet(t, true, advert...)[:40],
		"only the suffix": packet(t, true, `_tapward-phone._tcp.local. 120 IN SRV 0 0 7000 a.local.`, advert[3]),
	} {
		if claims := fromPacket(b, PhoneService); len(claims) > 0 {
			t.Errorf("%s: %+v", name, claims)
		}
	}
}

func TestPacketIsBounded(t *testing.T) {
	var m dns.Msg
	m.Response, m.Compress = true, true
	for i := range 1000 {
		srv := record(t, advert[1]).(*dns.SRV)
		srv.Port = uint16(i)
		a := record(t, advert[3]).(*dns.A)
		a.A = net.IPv4(10, 77, byte(i>>8), byte(i))
		m.Answer = append(m.Answer, srv, a)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	claims := fromPacket(b, PhoneService)
	if len(claims) != maxClaims || len(claims[0].addrs) != maxHeard {
		t.Errorf("%d claims of %d addresses; want %d of %d", len(claims), len(claims[0].addrs), maxClaims, maxHeard)
	}
}

func FuzzPacket(f *testing.F) {
	f.Add(packet(f, true, advert...))
	f.Add(packet(f, false, advert...))
	f.Add(packet(f, true, `\007\010._tapward-phone._tcp.local. 120 IN SRV 0 0 1 a.local.`, advert[3]))
	f.Add(packet(f, true, advert[1], `phone-07._tapward-phone._tcp.local. 120 IN TXT "\000\"\\"`, advert[4]))
	f.Add([]byte{0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xc0, 0x0c})
	n := wardNetwork()
	f.Fuzz(func(t *testing.T, b []byte) {
		filter := newFilter(Ports{}, nil)
		for _, c := range fromPacket(b, PhoneService) {
			s, err := filter.admit(c, n, start)
			if err != nil {
				continue
			}
			if !gateway.ValidLabel(s.Name) || len(s.Addrs) == 0 || len(s.Addrs) > maxAddrs {
				t.Fatalf("admitted %+v", s)
			}
		}
	})
}

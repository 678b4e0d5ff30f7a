package mdns

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/grandcat/zeroconf"
	"github.com/miekg/dns"
)

// claim is one advert as heard: nothing in it is proven and nothing is bounded but its size.
type claim struct {
	instance string // in the escaped form of DNS master files
	port     int
	text     []string // likewise
	addrs    []netip.Addr
	iface    int // index of the interface it came in by; 0 where the library did not tell
}

// One packet may carry the adverts of several services (RFC 6762 section 7.4), but no ward has so many in one.
const (
	maxClaims = 128 // in a packet
	maxHeard  = 16  // addresses of a host in a packet
)

// fromEntry is what the library reports of a name it had not reported before.
func fromEntry(e *zeroconf.ServiceEntry) claim {
	c := claim{instance: e.Instance, port: e.Port, text: e.Text}
	for _, ip := range slices.Concat(e.AddrIPv4, e.AddrIPv6) {
		if a, ok := netip.AddrFromSlice(ip); ok {
			c.addrs = append(c.addrs, a.Unmap())
		}
	}
	return c
}

// fromPacket is every advert of the service that a packet holds whole: SRV, TXT and an address. Goodbyes, questions and
// anything that does not parse give none.
func fromPacket(packet []byte, service string) []claim {
	var m dns.Msg
	if m.Unpack(packet) != nil || !m.Response {
		return nil
	}
	var (
		suffix  = strings.ToLower("." + service + "." + domain + ".")
		servers []*dns.SRV
		text    = make(map[string][]string)
		addrs   = make(map[string][]netip.Addr)
	)
	for _, rr := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		if rr.Header().Ttl == 0 {
			continue
		}
		name := strings.ToLower(rr.Header().Name)
		switch rr := rr.(type) {
		case *dns.SRV:
			if strings.HasSuffix(name, suffix) && len(servers) < maxClaims {
				servers = append(servers, rr)
			}
		case *dns.TXT:
			text[name] = rr.Txt
		case *dns.A:
			addrs[name] = hostAddr(addrs[name], rr.A)
		case *dns.AAAA:
			addrs[name] = hostAddr(addrs[name], rr.AAAA)
		}
	}
	var claims []claim
	for _, srv := range servers {
		c := claim{
			instance: srv.Hdr.Name[:len(srv.Hdr.Name)-len(suffix)],
			port:     int(srv.Port),
			text:     text[strings.ToLower(srv.Hdr.Name)],
			addrs:    addrs[strings.ToLower(srv.Target)],
		}
		if len(c.addrs) > 0 {
			claims = append(claims, c)
		}
	}
	return claims
}

func hostAddr(addrs []netip.Addr, ip []byte) []netip.Addr {
	if a, ok := netip.AddrFromSlice(ip); ok && len(addrs) < maxHeard {
		return append(addrs, a.Unmap())
	}
	return addrs
}

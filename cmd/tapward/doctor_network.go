package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
)

// multicastDNS is where phones and boxes ask for one another (RFC 6762 section 3).
var multicastDNS = net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}

func checkNetwork(_ context.Context, p patient) []finding {
	if p.config.Phones.Quiet {
		return []finding{{well, "mdns", "is turned off by the configuration: phones open the link, or have configured addresses", ""}}
	}
	all, err := net.Interfaces()
	if err != nil {
		return []finding{{ill, "mdns", "cannot list the network interfaces: " + err.Error(), "run doctor as root"}}
	}
	var found []finding
	named := p.config.Phones.Interfaces
	for _, i := range all {
		if chosen(i, named) {
			found = append(found, checkInterface(i))
		}
	}
	for _, name := range named {
		if !slices.ContainsFunc(all, func(i net.Interface) bool { return i.Name == name }) {
			found = append(found, finding{ill, "mdns", fmt.Sprintf("there is no interface %s", name),
				"ip link names those that are there; correct phones.interfaces"})
		}
	}
	if len(found) == 0 {
		found = append(found, finding{ill, "mdns", "no interface but loopback does multicast, so that no phone can be found",
			"connect the box to the ward's network; ip link shows its interfaces"})
	}
	return found
}

// chosen says that the daemon uses the interface, or would if it were up.
func chosen(i net.Interface, named []string) bool {
	if len(named) > 0 {
		return slices.Contains(named, i.Name)
	}
	return i.Flags&net.FlagMulticast != 0 && i.Flags&net.FlagLoopback == 0
}

func checkInterface(i net.Interface) finding {
	if i.Flags&net.FlagUp == 0 {
		return finding{ill, "mdns", i.Name + " is down", "ip link set " + i.Name + " up, and see why it was not"}
	}
	if addrs, err := i.Addrs(); err != nil || len(addrs) == 0 {
		return finding{ill, "mdns", i.Name + " has no address", "see that the network's DHCP server answers, or configure an address"}
	}
	group, err := net.ListenMulticastUDP("udp4", &i, &multicastDNS)
	if err != nil {
		what := err.Error()
		if strings.Contains(what, "address already in use") {
			return finding{ill, "mdns", "another program keeps port 5353 to itself", "ss -ulpn 'sport = 5353' names it; stop it, or have it share the port"}
		}
		return finding{ill, "mdns", fmt.Sprintf("cannot join the multicast group on %s: %s", i.Name, what), "see that the interface does multicast"}
	}
	group.Close()
	return finding{well, "mdns", fmt.Sprintf("port 5353 is open to us and the multicast group joined on %s", i.Name), ""}
}

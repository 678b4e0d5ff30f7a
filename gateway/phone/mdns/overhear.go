package mdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

var (
	group4 = net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	group6 = net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: 5353}
)

// member is a socket in the multicast group of one family. receive tells by which interface a packet came.
type member struct {
	receive func(b []byte) (n, iface int, from net.Addr, err error)
	close   func() error
}

// join4 and join6 listen beside every other mDNS program of the host: the port is shared and each gets every packet.
func join4(ifaces []net.Interface) (member, error) {
	conn, err := net.ListenUDP("udp4", &group4)
	if err != nil {
		return member{}, err
	}
	p := ipv4.NewPacketConn(conn)
	receive := func(b []byte) (n, iface int, from net.Addr, err error) {
		n, cm, from, err := p.ReadFrom(b)
		if cm != nil {
			iface = cm.IfIndex
		}
		return n, iface, from, err
	}
	if err := p.SetControlMessage(ipv4.FlagInterface, true); err != nil {
		conn.Close()
		return member{}, err
	}
	return joined(member{receive, conn.Close}, ifaces, func(i *net.Interface) error { return p.JoinGroup(i, &group4) })
}

func join6(ifaces []net.Interface) (member, error) {
	conn, err := net.ListenUDP("udp6", &group6)
	if err != nil {
		return member{}, err
	}
	p := ipv6.NewPacketConn(conn)
	receive := func(b []byte) (n, iface int, from net.Addr, err error) {
		n, cm, from, err := p.ReadFrom(b)
		if cm != nil {
			iface = cm.IfIndex
		}
		return n, iface, from, err
	}
	if err := p.SetControlMessage(ipv6.FlagInterface, true); err != nil {
		conn.Close()
		return member{}, err
	}
	return joined(member{receive, conn.Close}, ifaces, func(i *net.Interface) error { return p.JoinGroup(i, &group6) })
}

// joined closes a member that got into the group on no interface at all.
func joined(m member, ifaces []net.Interface, join func(*net.Interface) error) (member, error) {
	var failures []error
	for i := range ifaces {
		if err := join(&ifaces[i]); err != nil {
			failures = append(failures, fmt.Errorf("join on %s: %w", ifaces[i].Name, err))
		}
	}
	if len(failures) == len(ifaces) {
		m.close()
		return member{}, errors.Join(failures...)
	}
	return m, nil
}

// overhear reports every advert of the service in packets from our own links until ctx ends or the socket fails.
func (m member) overhear(ctx context.Context, service string, n network, out chan<- claim) {
	stop := context.AfterFunc(ctx, func() { m.close() })
	defer m.close()
	defer stop()
	buffer := make([]byte, 64<<10)
	for {
		size, iface, from, err := m.receive(buffer)
		if err != nil {
			return
		}
		if !onLink(n, iface, from) {
			continue
		}
		for _, c := range fromPacket(buffer[:size], service) {
			c.iface = iface
			select {
			case out <- c:
			case <-ctx.Done():
				return
			}
		}
	}
}

// onLink is the source check of RFC 6762 sections 6 and 11.
func onLink(n network, iface int, from net.Addr) bool {
	udp, ok := from.(*net.UDPAddr)
	if !ok || udp.Port != group4.Port || n.zone(iface) == "" {
		return false
	}
	a, _ := netip.AddrFromSlice(udp.IP)
	return n.local(iface, a.Unmap())
}

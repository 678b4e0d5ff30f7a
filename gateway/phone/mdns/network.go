package mdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// network is the chosen part of the host's network at one moment.
type network struct {
	ifaces   []net.Interface        // up, with at least one address
	prefixes map[int][]netip.Prefix // by interface index: its addresses with their subnets
}

// look takes the interfaces named, or every one that does multicast, without loopback. One that is missing or down is
// left out: it may come. An address that is still being probed for duplicates is not there yet.
func look(named []string) (network, error) {
	n := network{prefixes: make(map[int][]netip.Prefix)}
	ifaces, err := net.Interfaces()
	if err != nil {
		return network{}, fmt.Errorf("list interfaces: %w", err)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return network{}, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		if ok && a.Flags&unix.IFA_F_TENTATIVE == 0 {
			n.prefixes[a.LinkIndex] = append(n.prefixes[a.LinkIndex], netip.PrefixFrom(ip.Unmap(), bits))
		}
	}
	for _, prefixes := range n.prefixes {
		slices.SortFunc(prefixes, func(p, q netip.Prefix) int { return p.Addr().Compare(q.Addr()) })
	}
	for _, i := range ifaces {
		wanted := slices.Contains(named, i.Name) ||
			len(named) == 0 && i.Flags&net.FlagMulticast != 0 && i.Flags&net.FlagLoopback == 0
		if wanted && i.Flags&net.FlagUp != 0 && len(n.prefixes[i.Index]) > 0 {
			n.ifaces = append(n.ifaces, i)
		} else {
			delete(n.prefixes, i.Index)
		}
	}
	return n, nil
}

func (n network) equal(m network) bool { return reflect.DeepEqual(n, m) }

// local says that a belongs to a subnet of interface index, or of any chosen one where index is 0.
func (n network) local(index int, a netip.Addr) bool {
	for i, prefixes := range n.prefixes {
		if index != 0 && i != index {
			continue
		}
		if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return true
		}
	}
	return false
}

// zone is the name of a chosen interface, empty where index is none.
func (n network) zone(index int) string {
	for _, i := range n.ifaces {
		if i.Index == index {
			return i.Name
		}
	}
	return ""
}

// watch sends on changed, which needs a buffer of one, whenever links or addresses may have changed, until ctx ends.
func watch(ctx context.Context, changed chan<- struct{}) error {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return fmt.Errorf("watch the network: %w", err)
	}
	stop := context.AfterFunc(ctx, socket.Close)
	defer func() {
		if stop() {
			socket.Close()
		}
	}()
	for {
		_, _, err := socket.Receive()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) { // ENOBUFS: too many changes to list, so there were some
			return fmt.Errorf("watch the network: %w", err)
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

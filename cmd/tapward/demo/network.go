package demo

import (
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

const (
	bridge     = "ward0"
	boxHost    = "10.77.0.1"
	hubHost    = "10.77.0.2"
	phonesPort = "7600"
)

// network is the ward's: a bridge with the box on it, and a network namespace with one cable for the hub and for every
// phone. It lives in a namespace that ends with the ward's own process.
type network struct {
	hub    netns.NsHandle
	phones []netns.NsHandle
	sites  []netns.NsHandle // all of them
}

// layNetwork makes the network with a number of phones. It is given back with close.
func layNetwork(phones int) (*network, error) {
	n := &network{}
	if err := n.lay(phones); err != nil {
		n.close()
		return nil, fmt.Errorf("lay the ward's network: %w", err)
	}
	return n, nil
}

func (n *network) lay(phones int) error {
	if err := up("lo", ""); err != nil {
		return err
	}
	snooping := false // no multicast is to be withheld from anybody
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}, MulticastSnooping: &snooping}); err != nil {
		return fmt.Errorf("make bridge: %w", err)
	}
	if err := up(bridge, boxHost); err != nil {
		return err
	}
	var err error
	if n.hub, err = n.plugIn("hub", hubHost); err != nil {
		return fmt.Errorf("connect the hub: %w", err)
	}
	for i := range phones {
		phone, err := n.plugIn(fmt.Sprintf("phone%d", i+1), phoneHost(i))
		if err != nil {
			return fmt.Errorf("connect phone %d: %w", i+1, err)
		}
		n.phones = append(n.phones, phone)
	}
	return nil
}

// plugIn makes one machine's namespace and its cable to the bridge.
func (n *network) plugIn(cable, address string) (netns.NsHandle, error) {
	site, err := newNamespace()
	if err != nil {
		return site, err
	}
	n.sites = append(n.sites, site)
	if err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: cable}, PeerName: "lan0", PeerNamespace: netlink.NsFd(site),
	}); err != nil {
		return site, err
	}
	end, err := netlink.LinkByName(cable)
	if err != nil {
		return site, err
	}
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		return site, err
	}
	if err := errors.Join(netlink.LinkSetMaster(end, master), netlink.LinkSetUp(end)); err != nil {
		return site, err
	}
	return site, within(site, func() error {
		return errors.Join(up("lo", ""), up("lan0", address))
	})
}

// phoneHost is a phone's address.
func phoneHost(i int) string { return fmt.Sprintf("10.77.0.%d", 11+i) }

func up(name, address string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	if address != "" {
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(address), Mask: net.CIDRMask(24, 32)}}); err != nil {
			return fmt.Errorf("address %s: %w", name, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}

func newNamespace() (made netns.NsHandle, err error) {
	made = netns.None()
	err = apart(func() (err error) {
		made, err = netns.New()
		return err
	})
	return made, err
}

// within runs do with a namespace as the thread's network; sockets that do makes stay in it.
func within(network netns.NsHandle, do func() error) error {
	return apart(func() error {
		if err := enter(network); err != nil {
			return err
		}
		return do()
	})
}

// apart runs do on a thread that nothing else ever runs on and that ends with it.
func apart(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- do()
	}()
	return <-done
}

func (n *network) close() {
	for _, site := range n.sites {
		site.Close()
	}
}

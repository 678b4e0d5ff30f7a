package mdns

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/grandcat/zeroconf"
	"golang.org/x/sync/errgroup"

	"tapward/gateway"
)

// Advert is what lets a phone or a box be found.
type Advert struct {
	Service    string // PhoneService or BoxService
	Instance   string // unique on the network: the id of the phone or box
	Port       uint16
	TXT        TXT
	Interfaces []string // names; empty: every one that does multicast, without loopback. "lo" only by itself
	Log        *slog.Logger
}

// retry is how soon an advert that could not be put up is tried again; a change of the network comes before it.
const retry = 5 * time.Second

// Advertise advertises until ctx ends, whose error it returns; an advert that cannot be is an error at once. Each
// interface tells its own addresses, and all is announced anew when the network changed. A goodbye is sent at the end.
// The network being away is no error. One sleeping goroutine of the library, without a socket, may outlive the call by
// 4 s.
func Advertise(ctx context.Context, a Advert) error {
	if err := a.check(); err != nil {
		return fmt.Errorf("advertise %s: %w", a.Service, err)
	}
	tasks, ctx := errgroup.WithContext(ctx)
	changed := make(chan struct{}, 1)
	tasks.Go(func() error { return watch(ctx, changed) })
	tasks.Go(func() error { return a.keepUp(ctx, changed) })
	return tasks.Wait()
}

func (a Advert) check() error {
	if a.Service != PhoneService && a.Service != BoxService {
		return errors.New("unknown service")
	}
	if !gateway.ValidLabel(a.Instance) {
		return fmt.Errorf("instance: %w", errName)
	}
	if a.Port == 0 {
		return errors.New("port is missing")
	}
	_, err := ParseTXT(a.TXT.Strings())
	return err
}

func (a Advert) keepUp(ctx context.Context, changed <-chan struct{}) error {
	p := poster{Advert: a}
	defer func() { p.takeDown() }()
	again := time.NewTimer(0)
	defer again.Stop()
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			if settled == nil {
				settled = time.After(settle)
			}
			continue
		case <-settled:
			settled = nil
		case <-again.C:
		}
		if !p.putUp() {
			again.Reset(retry)
		}
	}
}

// poster keeps one advert up. It belongs to one goroutine.
type poster struct {
	Advert
	server  *zeroconf.Server
	network network
	failing error
}

// putUp advertises on the network as it is now; it changes nothing where that is done already. Taking down sends a
// goodbye, which listeners act on after a second (RFC 6762 section 10.1): the new advert is there before that.
func (p *poster) putUp() bool {
	n, err := look(p.Interfaces)
	if err == nil && p.server != nil && n.equal(p.network) {
		return true
	}
	if err == nil {
		p.takeDown()
		p.server, err = p.register(n)
		p.network = n
	}
	switch {
	case err != nil && p.failing == nil:
		p.Log.Warn("mdns: advertise", "service", p.Service, "instance", p.Instance, "error", err)
	case err == nil:
		p.Log.Info("mdns: advertising", "service", p.Service, "instance", p.Instance, "interfaces", len(n.ifaces))
	}
	p.failing = err
	return err == nil
}

// register gives the library no addresses, so that it answers on each interface with that one's own; those of loopback
// it would not take from there.
func (p *poster) register(n network) (*zeroconf.Server, error) {
	if len(n.ifaces) == 0 {
		return nil, errNoInterface
	}
	var ips []string
	if i := n.ifaces[0]; i.Flags&net.FlagLoopback != 0 {
		if len(n.ifaces) > 1 {
			return nil, fmt.Errorf("interface %s cannot be advertised on together with others", i.Name)
		}
		for _, prefix := range n.prefixes[i.Index] {
			ips = append(ips, prefix.Addr().String())
		}
	}
	return zeroconf.RegisterProxy(p.Instance, p.Service, domain, int(p.Port), p.host(), ips, p.TXT.Strings(), n.ifaces)
}

// host is a name that no other agent of this machine, nor the machine itself, announces addresses for.
func (a Advert) host() string {
	if a.TXT.Key.IsZero() {
		return "tapward-" + a.Instance + "." + domain + "."
	}
	return "tapward-" + hex.EncodeToString(a.TXT.Key[:8]) + "." + domain + "."
}

func (p *poster) takeDown() {
	if p.server != nil {
		p.server.Shutdown()
		p.server = nil
	}
}

package mdns

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/grandcat/zeroconf"
)

// maxEntries is how many names a resolver may remember before it is replaced: it never forgets one, whoever made it up.
const maxEntries = 2048

var errNoInterface = errors.New("no chosen network interface is up and has an address")

// round is one generation of sockets: for each family a resolver, which has asked once when open returns and goes on
// asking, and a member that overhears.
type round struct {
	cancel context.CancelFunc
	work   sync.WaitGroup
	failed error // of the families that could not be opened while another could
}

// open sends what is heard to claims, and once to crowded when the library remembers too many names.
func open(ctx context.Context, service string, n network, claims chan<- claim, crowded chan<- struct{}) (*round, error) {
	if len(n.ifaces) == 0 {
		return nil, errNoInterface
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &round{cancel: cancel}
	families := []struct {
		traffic zeroconf.IPType
		join    func([]net.Interface) (member, error)
	}{{zeroconf.IPv4, join4}, {zeroconf.IPv6, join6}}
	opened := 0
	for _, f := range families {
		m, err := f.join(n.ifaces)
		if err == nil {
			r.work.Go(func() { m.overhear(ctx, service, n, claims) })
			err = r.browse(ctx, f.traffic, service, n, claims, crowded)
		}
		if err == nil {
			opened++
		}
		r.failed = errors.Join(r.failed, err)
	}
	if opened == 0 {
		r.close()
		return nil, r.failed
	}
	return r, nil
}

// browse starts a resolver. The library sends to the channel while it holds up its receiving, also after ctx ended, and
// closes it when it has let go: so it is read to its end.
func (r *round) browse(ctx context.Context, traffic zeroconf.IPType, service string, n network, claims chan<- claim, crowded chan<- struct{}) error {
	resolver, err := zeroconf.NewResolver(zeroconf.SelectIPTraffic(traffic), zeroconf.SelectIfaces(n.ifaces))
	if err != nil {
		return err
	}
	entries := make(chan *zeroconf.ServiceEntry)
	r.work.Go(func() {
		heard := 0
		for e := range entries {
			if heard++; heard == maxEntries {
				select {
				case crowded <- struct{}{}:
				case <-ctx.Done():
				}
			}
			select {
			case claims <- fromEntry(e):
			case <-ctx.Done():
			}
		}
	})
	return resolver.Browse(ctx, service, domain, entries)
}

// close ends the round; nothing is sent after it returned. A nil round is closed.
func (r *round) close() {
	if r == nil {
		return
	}
	r.cancel()
	r.work.Wait()
}

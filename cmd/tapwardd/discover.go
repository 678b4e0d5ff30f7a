package main

import (
	"context"
	"net"

	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/gateway/handoff"
	"tapward/gateway/phone"
	"tapward/gateway/phone/link"
	"tapward/gateway/phone/mdns"
)

// discover proposes the phones that advertise themselves.
func (b box) discover(ctx context.Context, engine *handoff.Engine, links *link.Links) error {
	if b.config.Phones.Quiet {
		return nil
	}
	sightings := make(chan phone.Sighting, 16)
	tasks, ctx := errgroup.WithContext(ctx)
	browser := mdns.NewBrowser(mdns.Browse{
		Service: mdns.PhoneService, Interfaces: b.config.Phones.Interfaces, Log: b.log,
		Known: func(_ string, key gateway.Fingerprint) bool { return links.Knows(key) },
	})
	tasks.Go(func() error { return browser.Run(ctx, sightings) })
	tasks.Go(func() error {
		return pass(ctx, sightings, func(ctx context.Context, s phone.Sighting) { engine.Report(ctx, s) })
	})
	return tasks.Wait()
}

// advertise tells phones where this box is.
func (b box) advertise(ctx context.Context) error {
	addr, ok := b.sockets.phones.Addr().(*net.TCPAddr)
	if b.config.Phones.Quiet || !ok {
		return nil
	}
	return mdns.Advertise(ctx, mdns.Advert{
		Service: mdns.BoxService, Instance: string(b.config.Box), Port: uint16(addr.Port),
		TXT:        mdns.TXT{ID: string(b.config.Box), Key: b.keys.link.Fingerprint()},
		Interfaces: b.config.Phones.Interfaces, Log: b.log,
	})
}

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"tapward/gateway/handoff"
	"tapward/gateway/kernel"
	"tapward/gateway/phone"
	"tapward/gateway/phone/link"
	"tapward/gateway/station"
	"tapward/gateway/store"
	"tapward/reader"
	"tapward/systemd"
)

// run opens what the box needs and runs the ward on it until ctx ends.
func run(ctx context.Context, f flags) error {
	c, err := readConfig(f.Config)
	if err != nil {
		return err
	}
	if f.Check {
		return checkSecrets(c)
	}
	log := newLog(f.Debug)
	keys, err := readSecrets(c)
	if err != nil {
		return err
	}
	certificate, err := station.Certificate(c.Data)
	if err != nil {
		return err
	}
	trace, err := openTrace(f.Trace)
	if err != nil {
		return err
	}
	sockets, err := openSockets(c)
	if err != nil {
		return errors.Join(err, trace.Close())
	}
	db, err := store.Open(ctx, store.Config{
		Path: filepath.Join(c.Data, store.DatabaseFile), Create: true, Box: c.Box, Log: log, Signer: keys.log,
	})
	if err != nil {
		return errors.Join(err, sockets.close(), trace.Close())
	}
	b := box{c, log, keys, certificate, sockets, db, trace}
	return errors.Join(b.run(ctx), db.Close(), trace.Close())
}

func newLog(debug bool) *slog.Logger {
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// box is everything that is open.
type box struct {
	config      Config
	log         *slog.Logger
	keys        secrets
	certificate tls.Certificate
	sockets     sockets
	db          *store.Store
	trace       trace
}

// run is the wiring. It stops in stages: first what comes in from outside (readers, station, hub, discovery), then the loop,
// which handles what is left; then the links with the phones, and the log's last checkpoint.
func (b box) run(ctx context.Context) error {
	stored, err := b.db.Load(ctx)
	if err != nil {
		return err
	}
	floor, err := b.db.Floor(ctx, kernel.Uptime())
	if err != nil {
		return err
	}
	sources, err := newSources(b.config, b.log)
	if err != nil {
		return err
	}
	watchdog, err := systemd.NewWatchdog()
	if err != nil {
		return err
	}
	reports := make(chan phone.Report, 256)
	events := make(chan reader.Event)
	witnesses := newWitnesses(b.db, b.keys.own, b.log)
	addresses := readAddresses(b.config.Data, b.log)
	links := link.New(link.Config{
		Box: b.config.Box, Identity: b.keys.link, Phones: stored.Paired, Listen: b.sockets.phones, Out: reports,
		Checkpoint: b.db.Checkpoint, Witnessed: witnesses.phone, Reached: addresses.heard, Log: b.log,
	})
	addresses.propose(stored.Paired, links.Propose)
	lamps := newLamps(sources, b.log)
	measured := newMetrics()
	engine := handoff.New(handoff.Config{
		Box: b.config.Box, Key: b.keys.link.Fingerprint(), Ward: b.config.Ward, Journal: measuredJournal{b.db, measured},
		Phones: links, Readers: measuredReaders{lamps, measured}, Log: b.log,
		State: stored.State, Paired: stored.Paired, Head: stored.Head, Boot: stored.Boot, SameBoot: stored.SameBoot,
		Policy: storedPolicy(stored, b.config.Ward, b.keys.badge, b.log), Loaded: stored.PolicyLoaded, Floor: floor,
		BadgeKey: b.keys.badge, Sources: b.config.readers(), Uptime: kernel.Uptime, Ready: b.ready(measured), Pet: b.pet(watchdog), Watchdog: watchdog.Interval(), Trace: b.trace.writer(),
	})
	uplink := hospital{b.config, b.keys, b.db, engine, witnesses, b.log}
	page := station.New(engine, b.db, b.config.Station.Names, b.log)

	base, loop, edge := newStage(), newStage(), newStage()
	base.run(b.db.Run)
	base.run(links.Run)
	base.run(addresses.run)
	base.run(func(ctx context.Context) error { return witnesses.run(ctx, engine) })
	base.run(func(ctx context.Context) error { return pass(ctx, reports, engine.Report) })

	loop.run(engine.Run)
	loop.run(func(ctx context.Context) error { return feed(ctx, events, engine) })

	for _, s := range sources {
		edge.run(func(ctx context.Context) error { return reader.Supervise(ctx, b.log, s, events, jitter) })
	}
	edge.run(lamps.run)
	edge.run(func(ctx context.Context) error { return simulate(ctx, b.config.Sim, events) })
	edge.run(func(ctx context.Context) error { return watchClock(ctx, engine) })
	edge.run(func(ctx context.Context) error {
		return page.Run(ctx, b.sockets.page, b.certificate, b.sockets.api)
	})
	edge.run(func(ctx context.Context) error { return b.discover(ctx, engine, links) })
	edge.run(func(ctx context.Context) error { return b.advertise(ctx) })
	edge.run(func(ctx context.Context) error { return measured.serve(ctx, b.sockets.metrics, engine, b.log) })
	edge.run(uplink.run)

	select {
	case <-ctx.Done():
	case <-edge.ctx.Done():
	case <-loop.ctx.Done():
	case <-base.ctx.Done():
	}
	b.told(systemd.Stopping())
	return errors.Join(edge.end(), loop.end(), base.end())
}

func (b box) ready(m *metrics) func() {
	return func() {
		m.ready.Store(true)
		b.told(systemd.Ready())
		b.log.Info("The ward is open", "box", b.config.Box, "station", b.sockets.pageAddr())
	}
}

// pet is nil where systemd asks for no watchdog.
func (b box) pet(w systemd.Watchdog) func() {
	if w.Interval() == 0 {
		return nil
	}
	return func() { b.told(w.Pet()) }
}

// told logs that systemd could not be told something; the ward goes on.
func (b box) told(err error) {
	if err != nil {
		b.log.Warn("Cannot tell systemd", "err", err)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tapward/gateway/kernel"
	"tapward/gateway/phone"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/agent/lockscreen"
	"tapward/gateway/phone/link"
	"tapward/gateway/phone/mdns"
)

// version is set when a release is built.
var version = "development"

type runCommand struct {
	Debug bool `help:"Log more."`
}

func (c runCommand) Run(ctx context.Context, path configPath, m Main) error {
	config, err := path.read()
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if c.Debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(m.Stderr, &slog.HandlerOptions{Level: level}))
	return run(ctx, path, config, m, log)
}

// run wires a phone and keeps it until ctx ends, which is no error.
func run(ctx context.Context, path configPath, config Config, m Main, log *slog.Logger) error {
	identity, err := link.LoadIdentity(config.identity())
	if err != nil {
		return err
	}
	store, state, err := agent.OpenStateFile(config.state())
	if err != nil {
		return err
	}
	defer store.Close()
	boxes, err := config.boxes()
	if err != nil {
		return err
	}
	boot, err := kernel.BootID()
	if err != nil {
		return err
	}
	sockets, err := openSockets(config)
	if err != nil {
		return err
	}
	defer sockets.close()
	workspace := config.workspace()
	a := agent.New(agent.Config{
		Phone: config.ID, Identity: identity, State: state, Store: store, Device: workspace, Boxes: boxes,
		Version: "tapward-phone " + version,
		Listen:  sockets.links, Dial: agent.TCP, Advertise: config.advertise(sockets, identity, log),
		BootID: boot, Boot: kernel.Uptime, Log: log,
	})
	local := control{
		agent: a, workspace: workspace,
		standing: Standing{Fingerprint: identity.Fingerprint(), Listen: address(sockets.links), Page: pageURL(sockets.page)},
		reload:   func(ctx context.Context) error { return reload(ctx, path, a) },
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error { return serve(ctx, sockets.control, local.handler()) })
	if sockets.page != nil {
		page := lockscreen.Page{Phone: a, Play: config.Play, Log: log}
		group.Go(func() error { return serve(ctx, sockets.page, page.Handler()) })
	}
	if !config.Quiet {
		group.Go(func() error { return config.find(ctx, a, log) })
	}
	fmt.Fprintf(m.Stdout, "phone       %s\nfingerprint %s\nlinks       %s\npage        %s\n",
		config.ID, identity.Fingerprint(), address(sockets.links), pageURL(sockets.page))
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func reload(ctx context.Context, path configPath, a *agent.Agent) error {
	config, err := path.read()
	if err != nil {
		return err
	}
	boxes, err := config.boxes()
	if err != nil {
		return err
	}
	return a.Trust(ctx, boxes)
}

// advertise lets boxes find the phone where it can be reached; nil where it cannot be.
func (c Config) advertise(s sockets, id link.Identity, log *slog.Logger) func(context.Context) error {
	if c.Quiet || s.links == nil {
		return nil
	}
	if s.links.Addr().(*net.TCPAddr).IP.IsLoopback() && !slices.Contains(c.Interfaces, "lo") {
		return nil
	}
	return func(ctx context.Context) error {
		return mdns.Advertise(ctx, mdns.Advert{
			Service: mdns.PhoneService, Instance: string(c.ID), Port: uint16(s.links.Addr().(*net.TCPAddr).Port),
			TXT:        mdns.TXT{ID: string(c.ID), Key: id.Fingerprint()},
			Interfaces: c.Interfaces, Log: log,
		})
	}
}

// find proposes the boxes that advertise themselves.
func (c Config) find(ctx context.Context, a *agent.Agent, log *slog.Logger) error {
	sightings := make(chan phone.Sighting, 16)
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		return mdns.NewBrowser(mdns.Browse{Service: mdns.BoxService, Interfaces: c.Interfaces, Log: log}).Run(ctx, sightings)
	})
	tasks.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case s := <-sightings:
				for _, addr := range s.Addrs {
					a.Propose(s.Key, addr.String())
				}
			}
		}
	})
	return tasks.Wait()
}

// serve serves HTTP until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, // streams end with ctx
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		err := server.Close()
		<-ended
		return errors.Join(ctx.Err(), err)
	}
}

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/sync/claim"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/broker"
	"tapward/sync/hub/database"
	"tapward/sync/hub/enrol"
	"tapward/sync/hub/export"
	"tapward/sync/hub/ingest"
	"tapward/sync/hub/journal"
	"tapward/sync/hub/release"
	"tapward/sync/hub/witness"
	"tapward/sync/uplink"
	"tapward/systemd"
)

type runCommand struct {
	Config string `help:"The hub's configuration." type:"path" default:"${config}"`
	Check  bool   `help:"Check the configuration and end."`
	Debug  bool   `help:"Log more."`
}

// Run opens what the hub needs and serves until ctx ends.
func (r runCommand) Run(ctx context.Context) error {
	c, err := readConfig(r.Config)
	if err == nil && r.Check {
		_, err = c.feeds()
	}
	if err != nil || r.Check {
		return err
	}
	level := slog.LevelInfo
	if r.Debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	lock, err := lockFolder(c.Data)
	if err != nil {
		return err
	}
	defer lock.Close()
	h, err := open(ctx, c, log)
	if err != nil {
		return err
	}
	return errors.Join(h.run(ctx), h.db.Close())
}

// open opens what the hub needs, in a folder that is its own.
func open(ctx context.Context, c Config, log *slog.Logger) (*hub, error) {
	k, err := readKeys(c)
	if err != nil {
		return nil, err
	}
	db, err := database.Open(ctx, c.Database)
	if err != nil {
		return nil, err
	}
	if err := db.Claim(ctx, k.digest()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	h, err := newHub(ctx, c, k, db, log)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return h, nil
}

// hub is everything that runs.
type hub struct {
	config      Config
	keys        keys
	log         *slog.Logger
	started     time.Time
	db          *database.DB
	gaps        gapLook
	archive     *archive.Archive
	journal     *journal.Journal
	certificate *enrol.ServerCertificate
	members     *enrol.Registrar
	broker      *broker.Broker
	ingest      *ingest.Ingest
	witness     *witness.Log
	exporter    *export.Exporter
	releases    *release.Releases
}

// lifetime of the hub's own certificate.
const lifetime = 30 * 24 * time.Hour

// newHub is the wiring.
func newHub(ctx context.Context, c Config, k keys, db *database.DB, log *slog.Logger) (*hub, error) {
	h := &hub{config: c, keys: k, log: log, started: time.Now(), db: db}
	h.archive = archive.New(db, archive.Retention{Bodies: time.Duration(c.Archive.Records), Openings: time.Duration(c.Archive.Names)}, log)
	h.journal = journal.New(journal.Config{Site: c.Site, Archive: h.archive, Log: k.log, Public: k.public, Stored: k.stored})
	var err error
	if h.certificate, err = enrol.NewServerCertificate(ctx, k.ca, c.names(), lifetime, log); err != nil {
		return nil, err
	}
	admins, err := c.Enrol.admins()
	if err != nil {
		return nil, err
	}
	h.members, err = enrol.New(db, k.ca, enrol.Config{
		Site: c.Site, Release: k.release.Public().(ed25519.PublicKey), Stored: k.storedBy,
		Brokers: c.Broker.Advertise, URL: c.Enrol.URL, Walkins: c.Enrol.Walkins, Admins: admins,
	}, enrol.Told{Record: h.recordEnrolment, Cut: h.cut}, log)
	if err != nil {
		return nil, err
	}
	config, err := h.brokerConfig()
	if err != nil {
		return nil, err
	}
	if h.broker, err = broker.New(config, h.members, log); err != nil {
		return nil, err
	}
	h.ingest, err = ingest.New(ingest.Config{
		Broker: h.broker, Archive: h.archive, Boxes: h.members, Database: db, Stored: k.stored, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	var peers []witness.Peer
	for _, w := range c.Witness {
		peers = append(peers, witness.Peer{URL: w.URL, Key: w.Key})
	}
	h.witness, err = witness.New(witness.Config{Database: db, Archive: h.archive, Signer: k.accepted, Peers: peers, Logger: log})
	if err != nil {
		return nil, err
	}
	h.releases, err = release.New(release.Config{Site: c.Site, Key: k.release}, db, h.broker, enrolled{h.members}, releaseEvents{h.journal}, log)
	if err != nil {
		return nil, err
	}
	feeds, err := c.feeds()
	if err != nil {
		return nil, err
	}
	h.exporter, err = export.New(export.Config{Database: db, Archive: exported{h.archive}, Feeds: feeds, Logger: log})
	return h, err
}

// brokerConfig is the broker within the hub, or the way to the hospital's own.
func (h *hub) brokerConfig() (broker.Config, error) {
	b := h.config.Broker
	config := broker.Config{Keys: h.keys.broker, Replicas: b.Replicas}
	if len(b.Cluster) > 0 {
		towards, err := clusterTLS(b)
		config.URLs, config.TLS = b.Cluster, towards
		return config, err
	}
	boxes := x509.NewCertPool()
	for _, root := range h.keys.ca.Roots() {
		boxes.AddCert(root)
	}
	config.Embedded = &broker.Embedded{
		Dir: filepath.Join(h.config.Data, "jetstream"), Listen: b.Listen,
		TLS: &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: h.certificate.Get, ClientCAs: boxes, ClientAuth: tls.RequireAndVerifyClientCert},
	}
	return config, nil
}

func clusterTLS(b Broker) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(b.Certificate, b.Key)
	if err != nil {
		return nil, fmt.Errorf("read the hub's certificate for the cluster: %w", err)
	}
	text, err := os.ReadFile(b.CA)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the cluster's CA: %s holds no certificate", b.CA)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: roots}, nil
}

// cut ends the live connections of a revoked box. A phone has none with the broker.
func (h *hub) cut(ctx context.Context, s claim.Subject) error {
	a, ok := addressOf(s)
	if !ok {
		return nil
	}
	return h.broker.Cut(ctx, a)
}

func addressOf(s claim.Subject) (uplink.Address, bool) {
	a := uplink.Address{Site: s.Site, Box: gateway.BoxID(s.ID)}
	return a, s.Kind == claim.Box
}

// run serves until ctx ends. It stops in stages: first what comes in from outside, then the broker.
func (h *hub) run(ctx context.Context) error {
	api, err := listenLocal(h.config.Socket)
	if err != nil {
		return err
	}
	boxes, err := net.Listen("tcp", h.config.Enrol.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for boxes: %w", err), api.Close())
	}
	under, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	base, baseCtx := errgroup.WithContext(under)
	base.Go(func() error { return h.broker.Run(baseCtx) })
	base.Go(func() error { return h.certificate.Run(baseCtx) })
	edge, edgeCtx := errgroup.WithContext(ctx)
	edge.Go(func() error { return h.members.Run(edgeCtx) })
	edge.Go(func() error { return h.members.Serve(edgeCtx, boxes, h.certificate.Get) })
	edge.Go(func() error { return h.ingest.Run(edgeCtx) })
	edge.Go(func() error { return h.archive.Run(edgeCtx) })
	edge.Go(func() error { return h.witness.Run(edgeCtx) })
	edge.Go(func() error { return h.exporter.Run(edgeCtx) })
	edge.Go(func() error { return h.releases.Run(edgeCtx) })
	edge.Go(func() error { return h.countGaps(edgeCtx) })
	edge.Go(func() error { return h.serveLocal(edgeCtx, api) })
	edge.Go(func() error { return h.serveMetrics(edgeCtx) })
	edge.Go(func() error { return h.announce(edgeCtx) })
	edge.Go(func() error { // what carries the rest has failed
		select {
		case <-baseCtx.Done():
			return errors.New("the broker ended")
		case <-edgeCtx.Done():
			return nil
		}
	})
	err = ended(ctx, edge.Wait())
	_ = systemd.Stopping()
	stop()
	return errors.Join(err, ended(under, base.Wait()))
}

// ended takes the end that was asked for as none.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// announce says when the hub takes boxes.
func (h *hub) announce(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-h.broker.Ready():
	}
	if err := systemd.Ready(); err != nil {
		h.log.Warn("Cannot tell systemd", "err", err)
	}
	h.log.Info("The hub is open", "site", h.config.Site, "boxes", h.config.Enrol.URL, "broker", h.config.Broker.Advertise,
		"ca", h.keys.ca.Fingerprint(), "durability", h.broker.Durability().String())
	return nil
}

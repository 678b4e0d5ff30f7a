package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
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
	"tapward/sync/hub/enrol/embedded"
	"tapward/sync/hub/ingest"
	"tapward/sync/uplink"
)

const hubEnv = "TAPWARD_TEST_HUB"

// hubSeed is all that a hub of these tests is given; the rest of it lies in its folder.
type hubSeed struct {
	Folder       string
	Release      ed25519.PrivateKey
	Secret, Name string // of the key that signs what is stored
}

const (
	hubSite   = "northside"
	hubEnrols = "127.0.0.1:7700"
	hubBroker = "127.0.0.1:4222"

	hubRevokes = "c-011" // a clinician
)

// hubUntilKilled makes this process a hub, where its parent wants that. It prints each append to the archive.
func hubUntilKilled() bool {
	text := os.Getenv(hubEnv)
	if text == "" {
		return false
	}
	var s hubSeed
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err)
	}
	if err := s.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "hub:", err)
		os.Exit(1)
	}
	return true
}

func (s hubSeed) log() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

func (s hubSeed) database(ctx context.Context) (*database.DB, error) {
	return database.Open(ctx, "sqlite:"+filepath.Join(s.Folder, "hub.db"))
}

func (s hubSeed) ca() (*embedded.CA, error) {
	return embedded.Open(filepath.Join(s.Folder, "ca"), hubSite)
}

func (s hubSeed) registrar(db *database.DB, ca *embedded.CA, cut func(context.Context, claim.Subject) error) (*enrol.Registrar, error) {
	record := func(context.Context, enrol.Event) error { return nil }
	return enrol.New(db, ca, enrol.Config{
		Site: hubSite, Release: s.Release.Public().(ed25519.PublicKey), Stored: s.Name, Brokers: []string{"tls://" + hubBroker},
		URL: "https://" + hubEnrols, Walkins: true, Ask: 50 * time.Millisecond,
		Lifetime: 5 * time.Minute, // backdated as long: half of its life is over when it comes, so that it is renewed at once
	}, enrol.Told{Record: record, Cut: cut}, s.log())
}

// run wires a hub from its real parts.
func (s hubSeed) run(ctx context.Context) error {
	db, err := s.database(ctx)
	if err != nil {
		return err
	}
	ca, err := s.ca()
	if err != nil {
		return err
	}
	own, err := enrol.NewServerCertificate(ctx, ca, []string{"127.0.0.1"}, time.Hour, s.log())
	if err != nil {
		return err
	}
	var nats *broker.Broker
	boxes, err := s.registrar(db, ca, func(ctx context.Context, s claim.Subject) error {
		return nats.Cut(ctx, uplink.Address{Site: s.Site, Box: gateway.BoxID(s.ID)})
	})
	if err != nil {
		return err
	}
	if nats, err = s.broker(ca, own, boxes); err != nil {
		return err
	}
	in, err := s.ingest(nats, db, boxes)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", hubEnrols)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return boxes.Run(ctx) })
	g.Go(func() error { return boxes.Serve(ctx, l, own.Get) })
	g.Go(func() error { return nats.Run(ctx) })
	g.Go(func() error { return in.Run(ctx) })
	g.Go(func() error { return s.release(ctx, nats) })
	return g.Wait()
}

func (s hubSeed) broker(ca *embedded.CA, own *enrol.ServerCertificate, boxes *enrol.Registrar) (*broker.Broker, error) {
	keys, err := broker.LoadKeys(filepath.Join(s.Folder, "broker.json"))
	if err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	clients.AddCert(ca.Roots()[0])
	const day = 1 << 20
	return broker.New(broker.Config{
		Keys:   keys,
		Limits: broker.Limits{Bytes: 31 * day, Day: day, Messages: 10_000, MaxAge: 31 * 24 * time.Hour},
		Embedded: &broker.Embedded{
			Dir: filepath.Join(s.Folder, "nats"), Listen: hubBroker, TLS: &tls.Config{GetCertificate: own.Get, ClientCAs: clients},
		},
	}, boxes, s.log())
}

func (s hubSeed) ingest(nats *broker.Broker, db *database.DB, boxes *enrol.Registrar) (*ingest.Ingest, error) {
	signer, err := uplink.NewStoredSigner(s.Secret)
	if err != nil {
		return nil, err
	}
	return ingest.New(ingest.Config{
		Broker: nats, Archive: toldArchive{archive.New(db, archive.Retention{}, s.log())}, Boxes: boxes, Database: db,
		Stored: signer, Logger: s.log(),
	})
}

// release revokes somebody, as its first decision, and prints what boxes report to be in force.
func (s hubSeed) release(ctx context.Context, nats *broker.Broker) error {
	select {
	case <-nats.Ready():
	case <-ctx.Done():
		return nil
	}
	list, err := uplink.Revoked{Through: 1, List: []uplink.Revocation{
		{Number: 1, Target: uplink.Clinician, ID: hubRevokes, At: time.Unix(1_790_000_000, 0), Reason: "left"},
	}}.Encode()
	if err != nil {
		return err
	}
	signed, err := uplink.SignRelease(uplink.Release{Kind: uplink.Revocations, Site: hubSite, Version: 1, Issued: time.Now(), Body: list}, s.Release)
	if err != nil {
		return err
	}
	bucket, err := nats.JetStream().KeyValue(ctx, uplink.ReleaseBucket)
	if err != nil {
		return err
	}
	if _, err = bucket.Put(ctx, uplink.ReleaseKey(uplink.Revocations, hubSite, ""), signed); err != nil {
		return err
	}
	if bucket, err = nats.JetStream().KeyValue(ctx, uplink.ReportBucket); err != nil {
		return err
	}
	reports, err := bucket.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer reports.Stop()
	for entry := range reports.Updates() {
		if entry == nil {
			continue
		}
		report, err := uplink.ParseReport(entry.Value())
		if err != nil {
			return err
		}
		fmt.Printf("reported %d\n", report.Applied[uplink.Revocations].Version)
	}
	return nil
}

// toldArchive tells the test what is archived, once it is.
type toldArchive struct{ *archive.Archive }

func (a toldArchive) Append(ctx context.Context, b archive.Batch) (int64, error) {
	seq, err := a.Archive.Append(ctx, b)
	if err == nil {
		fmt.Printf("archived %d %d\n", b.Origin.Epoch, b.Records[len(b.Records)-1].Index+1)
	}
	return seq, err
}

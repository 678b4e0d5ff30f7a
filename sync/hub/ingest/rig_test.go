package ingest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/broker"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/ingest"
	"tapward/sync/uplink"
)

var engines databasetest.Engines

func TestMain(m *testing.M) {
	if ingestUntilKilled() {
		return
	}
	engines.Main(m)
}

// must is for what cannot fail with what these tests give it.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// hubKey is the hub's cosigner, the same in every process of a test run.
func hubKey(seed io.Reader) (note.Signer, note.Verifier) {
	signer, verifier, _ := hubKeys(seed)
	return signer, verifier
}

func hubKeys(random io.Reader) (note.Signer, note.Verifier, earlier) {
	secret, public, err := note.GenerateKey(random, "tapward-hub/north/stored")
	must(err)
	signer, err := uplink.NewStoredSigner(secret)
	must(err)
	verifier, err := uplink.NewStoredVerifier(public)
	must(err)
	seed, err := base64.StdEncoding.DecodeString(strings.SplitN(secret, "+", 5)[4])
	must(err)
	return signer, verifier, earlier{signer, ed25519.NewKeyFromSeed(seed[1:])}
}

// earlier cosigns (c2sp.org/tlog-cosignature) as the hub did an hour ago.
type earlier struct {
	note.Signer
	key ed25519.PrivateKey
}

func (e earlier) Sign(text []byte) ([]byte, error) {
	at := time.Now().Add(-time.Hour).Unix()
	signature := ed25519.Sign(e.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))
	return append(binary.BigEndian.AppendUint64(nil, uint64(at)), signature...), nil
}

// allowed knows boxes by their log keys.
type allowed struct {
	mu   sync.Mutex
	keys map[uplink.Address][]note.Verifier
}

func (a *allowed) LogKeys(_ context.Context, box uplink.Address) ([]note.Verifier, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keys[box], nil
}

func (a *allowed) allow(b *box) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[b.origin.Address] = []note.Verifier{b.verifier}
}

func (a *allowed) Authorize(context.Context, *x509.Certificate) (uplink.Address, string, gateway.Reason, error) {
	return uplink.Address{}, "", "", errors.New("no box connects in these tests")
}

// stage is a broker, and hubs that come and go.
type stage struct {
	t        testing.TB
	broker   *broker.Broker
	boxes    *allowed
	signer   note.Signer
	verifier note.Verifier
	earlier  earlier // signer, an hour ago
}

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{t: t, boxes: &allowed{keys: map[uplink.Address][]note.Verifier{}}}
	s.signer, s.verifier, s.earlier = hubKeys(rand.Reader)
	dir, err := os.MkdirTemp(databasetest.Memory, "tapward-broker-")
	must(err)
	t.Cleanup(func() { must(os.RemoveAll(dir)) })
	keys, err := broker.NewKeys()
	must(err)
	s.broker, err = broker.New(broker.Config{
		Keys:     keys,
		Embedded: &broker.Embedded{Dir: dir, Listen: "127.0.0.1:0", TLS: selfSigned()},
	}, s.boxes, quiet())
	must(err)
	run(t, s.broker.Run)
	select {
	case <-s.broker.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("the broker is not ready")
	}
	return s
}

func selfSigned() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	leaf, err := x509.ParseCertificate(der)
	must(err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientCAs: pool}
}

// run runs something until the returned function, or the test's end.
func run(t testing.TB, task func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- task(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("run did not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

// of is the same stage for a part of a test.
func (s *stage) of(t testing.TB) *stage {
	part := *s
	part.t = t
	return &part
}

// hub is one that ingests.
type hub struct {
	*ingest.Ingest
	archive *archive.Archive
	alarms  chan archive.Incident
	stop    func()
}

// hub starts one on a database; change may alter what it is made of.
func (s *stage) hub(url string, change func(*ingest.Config)) *hub {
	s.t.Helper()
	db, err := database.Open(s.t.Context(), url)
	if err != nil {
		s.t.Fatal(err)
	}
	h := &hub{archive: archive.New(db, archive.Retention{}, quiet()), alarms: make(chan archive.Incident, 1000)}
	config := ingest.Config{
		Broker: s.broker, Archive: h.archive, Boxes: s.boxes, Database: db, Stored: s.signer, Logger: quiet(),
		Alarm: func(i archive.Incident) { h.alarms <- i },
	}
	if change != nil {
		change(&config)
	}
	h.Ingest, err = ingest.New(config)
	must(err)
	end := run(s.t, h.Run)
	h.stop = sync.OnceFunc(func() { end(); must(db.Close()) })
	s.t.Cleanup(h.stop)
	return h
}

// alarm waits for the next one.
func (h *hub) alarm(t testing.TB) archive.Incident {
	t.Helper()
	select {
	case i := <-h.alarms:
		return i
	case <-time.After(20 * time.Second):
		t.Fatal("there is no alarm")
		return archive.Incident{}
	}
}

// send publishes messages as a box does, each after the one before.
func (s *stage) send(b *box, payloads ...[]byte) {
	s.t.Helper()
	for _, p := range payloads {
		if _, err := s.broker.JetStream().Publish(s.t.Context(), b.origin.AuditSubject(), p); err != nil {
			s.t.Fatal(err)
		}
	}
}

// receipt waits until the newest receipt of a box, verified as the box does, is as wanted.
func (s *stage) receipt(b *box, what string, wanted func(uplink.Receipt) bool) uplink.Receipt {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	bucket, err := s.broker.JetStream().KeyValue(ctx, uplink.ReceiptBucket)
	must(err)
	watch, err := bucket.Watch(ctx, b.origin.Key())
	must(err)
	defer watch.Stop()
	var newest uplink.Receipt
	for {
		select {
		case <-ctx.Done():
			s.t.Fatalf("no receipt of %s says %s; the newest is %+v", b.origin, what, newest)
		case entry := <-watch.Updates():
			if entry == nil {
				continue
			}
			if newest, err = uplink.ParseReceipt(entry.Value(), b.verifier, s.verifier); err != nil {
				s.t.Fatal(err)
			}
			if wanted(newest) {
				return newest
			}
		}
	}
}

// stored waits for a receipt of a size.
func (s *stage) stored(b *box, size int) uplink.Receipt {
	s.t.Helper()
	return s.receipt(b, "that all is stored", func(r uplink.Receipt) bool {
		return r.Epoch == b.origin.Epoch && r.Size == int64(size) && !r.Resend && r.Refused == ""
	})
}

// acknowledged waits until the hub's consumer holds nothing back.
func (s *stage) acknowledged() {
	s.t.Helper()
	consumer, err := s.broker.JetStream().Consumer(s.t.Context(), uplink.AuditStream, "tapward-ingest")
	must(err)
	var now *jetstream.ConsumerInfo
	for range 2000 {
		if now, err = consumer.Info(s.t.Context()); err == nil && now.NumAckPending == 0 && now.NumPending == 0 {
			return
		}
	}
	s.t.Errorf("notices: %d not acknowledged, %d not read", now.NumAckPending, now.NumPending)
}

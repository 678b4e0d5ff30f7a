package outbox_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tapward/sync/outbox"
	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

// real is the box's client as its outbox sees it, and tells of every acknowledgement.
type real struct {
	*upstream.Client
	acked chan uint64
}

func (r real) Publish(ctx context.Context, subject string, header map[string]string, payload []byte, after uint64) (uint64, error) {
	sequence, err := r.Client.Publish(ctx, subject, header, payload, after)
	if err == nil {
		r.acked <- sequence
	}
	return sequence, err
}

func (r real) Newest(ctx context.Context) (outbox.Newest, error) {
	m, err := r.Last(ctx, uplink.AuditStream, address.AuditSubject())
	if errors.Is(err, upstream.ErrNone) {
		return outbox.Newest{}, nil
	}
	return outbox.Newest{Header: m.Header, Payload: m.Payload, Sequence: m.Sequence}, err
}

// ca gives certificates for a broker and a box.
type ca struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newCA(t testing.TB) ca {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return ca{key, cert, pool}
}

func (c ca) issue(t testing.TB, name string) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, c.cert, key.Public(), c.key)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serve starts the broker with its stream, on the same port and disk each time.
func (c ca) serve(t testing.TB, dir string, port int) (*server.Server, nats.JetStreamContext) {
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true, NoLog: true, ServerName: "broker", TLSTimeout: 5,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*c.issue(t, "broker")}, ClientCAs: c.pool, ClientAuth: tls.RequireAndVerifyClientCert},
	})
	must(t, err)
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not listen")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := nc.JetStream()
	must(t, err)
	_, err = js.AddStream(&nats.StreamConfig{Name: uplink.AuditStream, Subjects: []string{"tapward.audit.*.*"}, AllowDirect: true})
	must(t, err)
	return srv, js
}

// TestRealBrokerThatRestarts drains a log to a real broker over mutual TLS, which is stopped twice in the midst of it.
func TestRealBrokerThatRestarts(t *testing.T) {
	c, dir := newCA(t), t.TempDir()
	srv, js := c.serve(t, dir, server.RANDOM_PORT)
	port := srv.Addr().(*net.TCPAddr).Port
	certificate := c.issue(t, string(address.Box))
	client, err := upstream.New(upstream.Config{
		Address: address, URLs: []string{"tls://127.0.0.1:" + strconv.Itoa(port)}, Roots: c.pool,
		Certificate: func() (*tls.Certificate, error) { return certificate, nil },
	}, slog.New(slog.DiscardHandler))
	must(t, err)
	defer running(t, client.Run)()

	w := newWorld(t, newPath(t))
	defer func() { w.stop() }()
	w.stopBox()
	const records = 20_000
	acked := make(chan uint64, records)
	w.change = func(config *outbox.Config) { config.Broker = real{client, acked} }
	for range records / 1000 {
		w.commit(1000)
	}
	w.anchor()
	w.start()
	for _, until := range []uint64{20, 50} {
		for sequence := uint64(0); sequence < until; {
			sequence = <-acked
		}
		srv.Shutdown()
		srv.WaitForShutdown()
		srv, js = c.serve(t, dir, port)
	}
	defer func() { srv.Shutdown(); srv.WaitForShutdown() }()

	// The hub of this test reads the stream from its beginning.
	stream, err := js.SubscribeSync("tapward.audit.*.*", nats.OrderedConsumer())
	must(t, err)
	for sequence := uint64(1); !w.arrived(); sequence++ {
		m, err := stream.NextMsg(30 * time.Second)
		if err != nil {
			t.Fatalf("%d bundles came, %+v: %v", sequence-1, w.box.State(), err)
		}
		w.hub.take(outbox.Newest{Payload: m.Data, Sequence: sequence})
	}
	if w.hub.twice > 0 {
		t.Errorf("%d records came twice", w.hub.twice)
	}
}

// take looks at one message of the stream.
func (h *hub) take(m outbox.Newest) {
	h.w.broker.mu.Lock()
	h.w.broker.messages = append(h.w.broker.messages, m)
	h.w.broker.mu.Unlock()
	h.setPaused(false)
}

package upstream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

// site is a CA, and a broker that lets in whoever has a certificate of it.
type site struct {
	key  *ecdsa.PrivateKey
	ca   *x509.Certificate
	pool *x509.CertPool
	dir  string
	port int
}

func newSite(t testing.TB) *site {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	ca, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return &site{key: key, ca: ca, pool: pool, dir: t.TempDir(), port: server.RANDOM_PORT}
}

func (s *site) issue(t testing.TB, name string, until time.Time) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, s.ca, key.Public(), s.key)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serve starts the broker, on the same port and with the same streams every time.
func (s *site) serve(t testing.TB) *server.Server {
	o := &server.Options{
		Host: "127.0.0.1", Port: s.port, JetStream: true, StoreDir: s.dir, SyncAlways: true, NoSigs: true, NoLog: true, ServerName: "broker", TLSTimeout: 5,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*s.issue(t, "broker", time.Now().Add(time.Hour))}, ClientCAs: s.pool, ClientAuth: tls.RequireAndVerifyClientCert},
	}
	srv, err := server.NewServer(o)
	must(t, err)
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not listen")
	}
	s.port = srv.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	return srv
}

// hub is an in-process connection, and the streams.
func hub(t testing.TB, srv *server.Server) nats.JetStreamContext {
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := nc.JetStream()
	must(t, err)
	for _, c := range []*nats.StreamConfig{
		{Name: uplink.AuditStream, Subjects: []string{"tapward.audit.*.*"}, AllowDirect: true},
		{Name: uplink.BucketStream(uplink.ReceiptBucket), Subjects: []string{uplink.BucketSubject(uplink.ReceiptBucket, ">")}, AllowDirect: true, MaxMsgsPerSubject: 1},
	} {
		if _, err := js.AddStream(c); err != nil {
			t.Fatal(err)
		}
	}
	return js
}

var address = uplink.Address{Site: "north", Box: "b1"}

func (s *site) client(t testing.TB, certificate func() (*tls.Certificate, error)) *upstream.Client {
	if certificate == nil {
		c := s.issue(t, "b1", time.Now().Add(time.Hour))
		certificate = func() (*tls.Certificate, error) { return c, nil }
	}
	url := "tls://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	c, err := upstream.New(upstream.Config{Address: address, URLs: []string{url}, Roots: s.pool, Certificate: certificate}, slog.New(slog.DiscardHandler))
	must(t, err)
	run(t, c.Run)
	return c
}

func run(t testing.TB, f func(context.Context) error) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := wait(t, "the end", done); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func until(t testing.TB, c *upstream.Client, what string, is func(upstream.State) bool) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		changed := c.Changed()
		if is(c.State()) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s: it is %+v", what, c.State())
		}
	}
}

func wait[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not come", what)
	}
	return v
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

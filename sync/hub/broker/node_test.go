package broker_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tapward/gateway"
	"tapward/sync/hub/broker"
	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

// The test binary is also a server of a cluster: so that one can be killed with -9.
const nodeConfig = "BROKER_TEST_NODE"

func TestMain(m *testing.M) {
	if path := os.Getenv(nodeConfig); path != "" {
		serve(path)
		return
	}
	os.Exit(m.Run())
}

// serve runs a nats-server until its standard input ends, and says on standard output that it listens.
func serve(path string) {
	o, err := server.ProcessConfigFile(path)
	if err != nil {
		panic(err)
	}
	o.NoSigs, o.NoLog = true, os.Getenv("BROKER_TEST_LOG") == ""
	s, err := server.NewServer(o)
	if err != nil {
		panic(err)
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		panic("not ready")
	}
	fmt.Println("listening")
	bufio.NewReader(os.Stdin).ReadByte()
	s.Shutdown()
	s.WaitForShutdown()
}

// authority is the boxes' CA and that of the servers.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{key, cert, pool}
}

func (a *authority) issue(t testing.TB, cn, site string, until time.Time) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: cn, Organization: []string{site}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		URIs: []*url.URL{{Scheme: "spiffe", Host: site, Path: "/box/" + cn}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) serverTLS(t testing.TB) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{*a.issue(t, "broker", "site", time.Now().Add(time.Hour))}, ClientCAs: a.pool}
}

// register is the hub's list of boxes.
type register struct {
	mu    sync.Mutex
	wards map[uplink.Address]string
	fail  error
	asked chan uplink.Address // every question, where somebody wants to know
	hold  chan struct{}       // answers are given only after this is closed
}

func (r *register) Authorize(_ context.Context, c *x509.Certificate) (uplink.Address, string, gateway.Reason, error) {
	if r.hold != nil {
		defer func() { <-r.hold }()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a := uplink.Address{Site: c.Subject.Organization[0], Box: gateway.BoxID(c.Subject.CommonName)}
	select {
	case r.asked <- a:
	default:
	}
	ward, known := r.wards[a]
	if r.fail != nil {
		return uplink.Address{}, "", "", r.fail
	}
	if !known {
		return uplink.Address{}, "", "box-unknown", nil
	}
	return a, ward, "", nil
}

func (r *register) set(a uplink.Address, ward string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ward == "" {
		delete(r.wards, a)
	} else {
		r.wards[a] = ward
	}
}

func box(name string) uplink.Address { return uplink.Address{Site: "north", Box: gateway.BoxID(name)} }

// hub is a running broker.
type hub struct {
	*broker.Broker
	ca    *authority
	boxes *register
	urls  []string
	stop  func()
}

func testConfig(t testing.TB, ca *authority, keys broker.Keys, dir string) broker.Config {
	return broker.Config{Keys: keys, Embedded: &broker.Embedded{
		Dir: dir, Listen: "127.0.0.1:0", TLS: ca.serverTLS(t), MaxStore: 8 << 30,
	}}
}

func newKeys(t testing.TB) broker.Keys {
	k, err := broker.NewKeys()
	must(t, err)
	return k
}

func startEmbedded(t testing.TB, change func(*broker.Config)) *hub {
	ca := newAuthority(t)
	c := testConfig(t, ca, newKeys(t), t.TempDir())
	if change != nil {
		change(&c)
	}
	return start(t, c, ca, &register{wards: map[uplink.Address]string{}})
}

// start runs a broker until stop or the test's end.
func start(t testing.TB, c broker.Config, ca *authority, boxes *register) *hub {
	b, err := broker.New(c, boxes, quiet(t))
	must(t, err)
	h := &hub{Broker: b, ca: ca, boxes: boxes, urls: c.URLs}
	h.stop = running(t, b.Run)
	wait(t, "the broker", b.Ready())
	if c.Embedded != nil {
		h.urls = []string{"tls://" + b.Address()}
	}
	return h
}

// running runs something until the returned function, or the test's end.
func running(t testing.TB, run func(context.Context) error) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("run: %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Errorf("run did not end")
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// client is an honest box of ward "w1", connected.
func (h *hub) client(t testing.TB, a uplink.Address) *upstream.Client {
	h.boxes.set(a, "w1")
	return h.unregistered(t, a, func() (*tls.Certificate, error) { return nil, nil })
}

func (h *hub) unregistered(t testing.TB, a uplink.Address, certificate func() (*tls.Certificate, error)) *upstream.Client {
	if c, _ := certificate(); c == nil {
		issued := h.ca.issue(t, string(a.Box), a.Site, time.Now().Add(time.Hour))
		certificate = func() (*tls.Certificate, error) { return issued, nil }
	}
	c, err := upstream.New(upstream.Config{Address: a, URLs: h.urls, Roots: h.ca.pool, Certificate: certificate}, quiet(t))
	must(t, err)
	running(t, c.Run)
	return c
}

// until waits for a state of a box.
func until(t testing.TB, c *upstream.Client, what string, is func(upstream.State) bool) upstream.State {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		changed := c.Changed()
		s := c.State()
		if is(s) {
			return s
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s: it is %+v", what, c.State())
		}
	}
}

func connected(s upstream.State) bool { return s.Connected }

func wait[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("%s did not come", what)
		panic("not reached")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func quiet(t testing.TB) *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	return slog.New(slog.DiscardHandler)
}

// cluster is three servers of the hospital, each a process.
type cluster struct {
	nodes []*node
	urls  []string
}

type node struct {
	name, config string
	cmd          *exec.Cmd
	stdin        interface{ Close() error }
}

// startServers starts one server, or a cluster.
func startServers(t *testing.T, ca *authority, keys broker.Keys, size int, jetstream string) *cluster {
	dir := t.TempDir()
	certificate(t, dir, ca)
	text, err := keys.ServerConfig()
	must(t, err)
	ports := freePorts(t, 2*size)
	var routes string
	for i := range size {
		routes += fmt.Sprintf("nats://127.0.0.1:%d, ", ports[size+i])
	}
	c := &cluster{}
	for i := range size {
		n := &node{name: fmt.Sprintf("n%d", i+1), config: filepath.Join(dir, fmt.Sprintf("n%d.conf", i+1))}
		conf := fmt.Sprintf(`server_name: %s
listen: 127.0.0.1:%d
jetstream { store_dir: %q, max_file_store: 8GB, %s }
tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true, timeout: 5 }
`, n.name, ports[i], filepath.Join(dir, n.name), jetstream, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"),
			filepath.Join(dir, "ca.pem")) + text
		if size > 1 {
			conf += fmt.Sprintf("cluster { name: test, listen: 127.0.0.1:%d, routes: [ %s ] }\n", ports[size+i], routes)
		}
		must(t, os.WriteFile(n.config, []byte(conf), 0o600))
		c.nodes = append(c.nodes, n)
		c.urls = append(c.urls, fmt.Sprintf("tls://127.0.0.1:%d", ports[i]))
	}
	for _, n := range c.nodes {
		n.start(t)
	}
	return c
}

// external is the configuration of a hub for these servers.
func (c *cluster) external(t *testing.T, ca *authority, keys broker.Keys) broker.Config {
	hub := ca.issue(t, "hub", "north", time.Now().Add(time.Hour))
	return broker.Config{Keys: keys, URLs: c.urls, Replicas: len(c.nodes), TLS: &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{*hub}}}
}

func certificate(t *testing.T, dir string, ca *authority) {
	c := ca.issue(t, "server", "north", time.Now().Add(time.Hour))
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	must(t, err)
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: c.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
		"ca.pem":   {Type: "CERTIFICATE", Bytes: ca.cert.Raw},
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
}

func (n *node) start(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), nodeConfig+"="+n.config)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	n.cmd, n.stdin = cmd, in
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("server %s: %q, %v", n.name, line, err)
	}
}

// kill is the end without any chance to write.
func (n *node) kill(t *testing.T) {
	must(t, n.cmd.Process.Kill())
	n.cmd.Wait()
}

func freePorts(t *testing.T, n int) []int {
	var out []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out
}

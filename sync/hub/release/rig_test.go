package release_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/policy"
	"tapward/sync/bundle"
	"tapward/sync/hub/broker"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/release"
	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

var engines databasetest.Engines

func TestMain(m *testing.M) { engines.Main(m) }

const site = "north"

var hubKey = ed25519.NewKeyFromSeed([]byte("the hub's release key, 32 bytes!"))

// site's broker, with the boxes that may come in.
type hospital struct {
	t      testing.TB
	broker *broker.Broker
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	pool   *x509.CertPool
	url    string

	mu     sync.Mutex
	boxes  []release.Box
	events []release.Event
}

func newHospital(t testing.TB) *hospital {
	h := &hospital{t: t, pool: x509.NewCertPool()}
	var err error
	h.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	h.ca = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, h.ca, h.ca, h.key.Public(), h.key)
	must(t, err)
	h.ca, err = x509.ParseCertificate(der)
	must(t, err)
	h.pool.AddCert(h.ca)
	keys, err := broker.NewKeys()
	must(t, err)
	h.broker, err = broker.New(broker.Config{Keys: keys, Embedded: &broker.Embedded{
		Dir: t.TempDir(), Listen: "127.0.0.1:0", MaxStore: 8 << 30,
		TLS: &tls.Config{Certificates: []tls.Certificate{*h.issue("broker")}, ClientCAs: h.pool},
	}}, h, quiet)
	must(t, err)
	running(t, h.broker.Run)
	wait(t, "the broker", h.broker.Ready())
	h.url = "tls://" + h.broker.Address()
	return h
}

func (h *hospital) issue(cn string) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(h.t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(h.t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: cn, Organization: []string{site}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, h.ca, key.Public(), h.key)
	must(h.t, err)
	leaf, err := x509.ParseCertificate(der)
	must(h.t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (h *hospital) Authorize(_ context.Context, c *x509.Certificate) (uplink.Address, string, gateway.Reason, error) {
	return uplink.Address{Site: site, Box: gateway.BoxID(c.Subject.CommonName)}, "5b", "", nil
}

func (h *hospital) Boxes(context.Context) ([]release.Box, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.boxes), nil
}

func (h *hospital) Record(_ context.Context, e release.Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
	return nil
}

// told are the events of a kind.
func (h *hospital) told(kind release.EventKind) (events []release.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Kind == kind {
			events = append(events, e)
		}
	}
	return events
}

func openDatabase(t testing.TB, url string) *database.DB {
	db, err := database.Open(context.Background(), url)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

// releases runs a hub's room on a database.
func (h *hospital) releases(db *database.DB, beat time.Duration) (*release.Releases, func()) {
	r, err := release.New(release.Config{Site: site, Key: hubKey, Beat: beat}, db, h.broker, h, h, quiet)
	must(h.t, err)
	return r, running(h.t, r.Run)
}

// ward plays the engine: it judges as the real one does, in memory.
type ward struct {
	mu      sync.Mutex
	policy  policy.Snapshot
	picture *gateway.Ward
	changed chan struct{}
	at      map[uint64]time.Time // when each number was in force
}

func newWard() *ward {
	return &ward{picture: &gateway.Ward{}, changed: make(chan struct{}), at: map[uint64]time.Time{}}
}

func (w *ward) Do(_ context.Context, _ string, act gateway.Act) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch a := act.(type) {
	case gateway.InstallRevocations:
		w.policy = w.policy.Revoke(a.Revocations)
		w.at[a.Revocations.Through] = time.Now()
	case gateway.LoadPolicy:
		doc, err := policy.Parse(a.Document)
		if err != nil {
			return err
		}
		if w.policy, err = w.policy.Succeed(doc, "5b", gateway.BadgeKey{}); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown act %T", act)
	}
	r := w.policy.Revocations()
	w.picture = &gateway.Ward{
		Policy:  gateway.WardPolicy{Loaded: w.policy.Loaded(), Version: w.policy.Version(), Digest: w.policy.Digest()},
		Revoked: gateway.WardRevocations{Through: r.Through, Digest: r.Digest, Issued: r.Issued, Listed: len(r.List)},
	}
	close(w.changed)
	w.changed = make(chan struct{})
	return nil
}

func (w *ward) Ward() (*gateway.Ward, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.picture, w.changed
}

// until waits for the ward to run a policy and revocations.
func (w *ward) until(t testing.TB, policy, through uint64) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		p, changed := w.Ward()
		if p.Policy.Version >= policy && p.Revoked.Through >= through {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("the box runs policy %d and revocations %d", p.Policy.Version, p.Revoked.Through)
		}
	}
}

// connection is upstream as the bundle wants it.
type connection struct {
	*upstream.Client
	address uplink.Address
}

func (c connection) Watch(ctx context.Context, deliver func(uplink.Kind, []byte), kinds ...uplink.Kind) error {
	var entries []upstream.Entry
	of := map[string]uplink.Kind{}
	for _, k := range kinds {
		e := upstream.Entry{Bucket: uplink.ReleaseBucket, Key: uplink.ReleaseKey(k, c.address.Site, "5b")}
		entries = append(entries, e)
		of[uplink.BucketSubject(e.Bucket, e.Key)] = k
	}
	return c.Client.Watch(ctx, func(m upstream.Message) { deliver(of[m.Subject], m.Payload) }, entries...)
}

func (c connection) Report(ctx context.Context, report []byte) error {
	return c.Put(ctx, uplink.ReportBucket, c.address.Key(), report)
}

// box enrols a box.
func (h *hospital) box(name string) *ward {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.boxes = append(h.boxes, release.Box{ID: gateway.BoxID(name), Ward: "5b"})
	return newWard()
}

// connect runs a box's bundle over a real connection until the returned function.
func (h *hospital) connect(name string, w *ward) (cut func()) {
	a := uplink.Address{Site: site, Box: gateway.BoxID(name)}
	certificate := h.issue(name)
	c, err := upstream.New(upstream.Config{
		Address: a, URLs: []string{h.url}, Roots: h.pool, Certificate: func() (*tls.Certificate, error) { return certificate, nil },
	}, quiet)
	must(h.t, err)
	b, err := bundle.New(bundle.Config{
		Address: a, Ward: "5b", Version: "test", Key: hubKey.Public().(ed25519.PublicKey), Stored: func() (uint32, int64) { return 1, 0 },
	}, connection{c, a}, w, quiet)
	must(h.t, err)
	stopClient, stopBundle := running(h.t, c.Run), running(h.t, b.Run)
	return func() { stopBundle(); stopClient() }
}

// reach waits until a revocation's reach is as it should be.
func reach(t testing.TB, r *release.Releases, number uint64, is func(release.Reach) bool) release.Reach {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		changed := r.Changed()
		now, err := r.Reach(t.Context(), number)
		must(t, err)
		if is(now) {
			return now
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("the reach of %d is %+v", number, now)
		}
	}
}

func document(version uint64, people ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "version = %d\nsite = \"north\"\n[[ward]]\nid = \"5b\"\nname = \"Ward 5B\"\n[[reader]]\nid = \"door\"\nward = \"5b\"\npool = \"shared\"\n", version)
	b.WriteString("[class.workflow]\nlease = \"20m\"\n[class.convenience]\nlease = \"40m\"\n")
	for _, id := range people {
		fmt.Fprintf(&b, "[[clinician]]\nid = %q\nname = \"Example Person\"\nrole = \"nurse\"\nwards = [\"5b\"]\nbadges = [%q]\n", id, hash(id))
	}
	return []byte(b.String())
}

// hash stands for the keyed hash of a person's badge.
func hash(id string) string { return fmt.Sprintf("%064x", id) }

var quiet = slog.New(slog.DiscardHandler)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wait[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(60 * time.Second):
		t.Fatalf("%s did not come", what)
		panic("not reached")
	}
}

// running runs something until the returned function, or the test's end.
func running(t testing.TB, run func(context.Context) error) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("run: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("run did not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

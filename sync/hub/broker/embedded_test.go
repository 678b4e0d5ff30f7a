package broker_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tapward/sync/hub/broker"
	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

func TestABoxSendsHearsAndReports(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	a := box("b1")
	c := h.client(t, a)
	until(t, c, "connected", connected)
	ctx := t.Context()

	header := map[string]string{uplink.EpochHeader: "1", uplink.FromHeader: "0", uplink.EndHeader: "2"}
	first, err := c.Publish(ctx, a.AuditSubject(), header, []byte("one"), 0)
	must(t, err)
	second, err := c.Publish(ctx, a.AuditSubject(), header, []byte("two"), first)
	must(t, err)
	last, err := c.Last(ctx, uplink.AuditStream, a.AuditSubject())
	must(t, err)
	if last.Sequence != second || string(last.Payload) != "two" || last.Header[uplink.EndHeader] != "2" || last.At.IsZero() {
		t.Fatalf("newest: %+v", last)
	}
	var wrong *upstream.SequenceError
	if _, err = c.Publish(ctx, a.AuditSubject(), header, []byte("two"), first); !errors.As(err, &wrong) || wrong.Last != second || wrong.Expected != first {
		t.Fatalf("a repeat: %v", err)
	}
	must(t, c.Put(ctx, uplink.ReportBucket, a.Key(), []byte("well")))
	if got := value(t, h, uplink.ReportBucket, a.Key()); got != "well" {
		t.Fatalf("report: %q", got)
	}

	put(t, h, uplink.ReceiptBucket, a.Key(), "before")
	heard := make(chan upstream.Message, 8)
	running(t, func(ctx context.Context) error {
		return c.Watch(ctx, func(m upstream.Message) { heard <- m },
			upstream.Entry{Bucket: uplink.ReceiptBucket, Key: a.Key()},
			upstream.Entry{Bucket: uplink.ReleaseBucket, Key: uplink.ReleaseKey(uplink.Roster, a.Site, "w1")})
	})
	if m := wait(t, "what was there before", heard); string(m.Payload) != "before" || m.Sequence == 0 {
		t.Fatalf("heard %+v", m)
	}
	put(t, h, uplink.ReceiptBucket, a.Key(), "after")
	if m := wait(t, "what came after", heard); string(m.Payload) != "after" {
		t.Fatalf("heard %+v", m)
	}
	large := strings.Repeat("r", uplink.MaxRelease)
	put(t, h, uplink.ReleaseBucket, uplink.ReleaseKey(uplink.Roster, a.Site, "w1"), large)
	if m := wait(t, "the largest release", heard); len(m.Payload) != len(large) {
		t.Fatalf("heard %d bytes", len(m.Payload))
	}
}

func TestDurabilityOfTheEmbeddedBroker(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	if d := h.Durability(); d.State != broker.Verified || len(d.Peers) != 1 || len(d.What) > 0 {
		t.Fatalf("durability: %v", d)
	}
}

// What a box was told is stored is there after a restart, and the box goes on where it was.
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	ca, keys, dir := newAuthority(t), newKeys(t), t.TempDir()
	config := testConfig(t, ca, keys, dir)
	boxes := &register{wards: map[uplink.Address]string{}}
	h := start(t, config, ca, boxes)
	a := box("b1")
	c := h.client(t, a)
	until(t, c, "connected", connected)
	seq, err := c.Publish(t.Context(), a.AuditSubject(), nil, []byte("one"), 0)
	must(t, err)
	heard := make(chan upstream.Message, 8)
	running(t, func(ctx context.Context) error {
		return c.Watch(ctx, func(m upstream.Message) { heard <- m }, upstream.Entry{Bucket: uplink.ReceiptBucket, Key: a.Key()})
	})
	config.Embedded.Listen = h.Address()
	h.stop()
	until(t, c, "cut off", func(s upstream.State) bool { return !s.Connected && s.Why != "" })
	if _, err := c.Publish(t.Context(), a.AuditSubject(), nil, []byte("two"), seq); !errors.Is(err, upstream.ErrCutOff) {
		t.Fatalf("publish while cut off: %v", err)
	}

	h = start(t, config, ca, boxes)
	put(t, h, uplink.ReceiptBucket, a.Key(), "while it was away, or not")
	if m := wait(t, "the receipt", heard); m.Subject != uplink.BucketSubject(uplink.ReceiptBucket, a.Key()) {
		t.Fatalf("heard %+v", m)
	}
	until(t, c, "connected again", connected)
	last, err := c.Last(t.Context(), uplink.AuditStream, a.AuditSubject())
	must(t, err)
	if last.Sequence != seq {
		t.Fatalf("newest after the restart: %+v", last)
	}
	_, err = c.Publish(t.Context(), a.AuditSubject(), nil, []byte("two"), seq)
	must(t, err)
}

func TestRevocationCutsLiveConnections(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	a, other := box("b1"), box("b2")
	c, bystander := h.client(t, a), h.client(t, other)
	until(t, c, "connected", connected)
	since := until(t, bystander, "connected", connected).Since

	h.boxes.set(a, "")
	must(t, h.Cut(t.Context(), a))
	s := until(t, c, "refused", func(s upstream.State) bool { return strings.Contains(s.Why, "refused by the hub") })
	if s.Connected {
		t.Fatalf("state: %+v", s)
	}
	if _, err := c.Publish(t.Context(), a.AuditSubject(), nil, []byte("still here"), 0); err == nil {
		t.Fatal("a revoked box published")
	}
	if n := stored(t, h, a.AuditSubject()); n != 0 {
		t.Fatalf("%d messages stored", n)
	}
	if s := bystander.State(); !s.Connected || s.Since != since {
		t.Fatalf("the other box: %+v", s)
	}
	h.boxes.set(a, "w1")
	until(t, c, "reinstated", connected)
}

// The hub had said yes when the box was revoked, and the server lets it in only afterwards.
func TestRevokedWhileBeingLetIn(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	a := box("b1")
	h.boxes.asked, h.boxes.hold = make(chan uplink.Address, 1), make(chan struct{})
	c := h.client(t, a)
	wait(t, "the question", h.boxes.asked)
	h.boxes.set(a, "")
	must(t, h.Cut(t.Context(), a))
	close(h.boxes.hold)
	until(t, c, "let in on the old answer", connected)
	until(t, c, "cut again", func(s upstream.State) bool { return strings.Contains(s.Why, "refused by the hub") })
}

// A box that is connected does not stay longer than its certificate, and comes back with the next one.
func TestConnectionEndsWithItsCertificate(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	a := box("b1")
	h.boxes.set(a, "w1")
	current := make(chan *tls.Certificate, 1)
	current <- h.ca.issue(t, "b1", "north", time.Now().Add(3*time.Second))
	c := h.unregistered(t, a, func() (*tls.Certificate, error) {
		certificate := <-current
		current <- certificate
		return certificate, nil
	})
	until(t, c, "connected", connected)
	until(t, c, "refused for its certificate", func(s upstream.State) bool {
		return strings.Contains(s.Why, "refused by the hub: this box's certificate has expired")
	})
	<-current
	current <- h.ca.issue(t, "b1", "north", time.Now().Add(time.Hour))
	c.Renewed()
	until(t, c, "connected with the new one", connected)
}

// The new certificate is used at once, not at the next break.
func TestRenewedConnectsAnew(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	a := box("b1")
	h.boxes.asked = make(chan uplink.Address, 8)
	c := h.client(t, a)
	until(t, c, "connected", connected)
	wait(t, "the first question", h.boxes.asked)
	c.Renewed()
	wait(t, "the second question", h.boxes.asked)
	until(t, c, "connected", connected)
}

func TestHubCannotLookTheBoxUp(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	h.boxes.mu.Lock()
	h.boxes.fail = errors.New("the database is away")
	h.boxes.mu.Unlock()
	c := h.client(t, box("b1"))
	until(t, c, "not let in", func(s upstream.State) bool { return strings.Contains(s.Why, "does not answer just now") })
	h.boxes.mu.Lock()
	h.boxes.fail = nil
	h.boxes.mu.Unlock()
	until(t, c, "let in", connected)
}

// An address or a folder that cannot be used is said at once and in words.
func TestEmbeddedBrokerCannotStart(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for want, change := range map[string]func(*broker.Embedded){
		"address already in use": func(e *broker.Embedded) { e.Listen = l.Addr().String() },
		"JetStream":              func(e *broker.Embedded) { e.Dir = file },
		"listen address":         func(e *broker.Embedded) { e.Listen = "nonsense" },
	} {
		c := testConfig(t, newAuthority(t), newKeys(t), t.TempDir())
		change(c.Embedded)
		b, err := broker.New(c, &register{}, quiet(t))
		must(t, err)
		if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func put(t testing.TB, h *hub, bucket, key, value string) {
	t.Helper()
	kv, err := h.JetStream().KeyValue(t.Context(), bucket)
	must(t, err)
	_, err = kv.Put(t.Context(), key, []byte(value))
	must(t, err)
}

func value(t testing.TB, h *hub, bucket, key string) string {
	t.Helper()
	kv, err := h.JetStream().KeyValue(t.Context(), bucket)
	must(t, err)
	e, err := kv.Get(t.Context(), key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return ""
	}
	must(t, err)
	return string(bytes.Clone(e.Value()))
}

// stored counts the messages of one subject in TAPWARD_AUDIT.
func stored(t testing.TB, h *hub, subject string) uint64 {
	t.Helper()
	s, err := h.JetStream().Stream(t.Context(), uplink.AuditStream)
	must(t, err)
	i, err := s.Info(t.Context(), jetstream.WithSubjectFilter(subject))
	must(t, err)
	return i.State.Subjects[subject]
}

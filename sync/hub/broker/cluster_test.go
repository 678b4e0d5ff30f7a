package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tapward/sync/hub/broker"
	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

// Three servers, each a process. The stream's leader is killed with -9 in the middle of a box's publishing.
func TestClusterLosesItsLeader(t *testing.T) {
	t.Parallel()
	ca, keys := newAuthority(t), newKeys(t)
	servers := startServers(t, ca, keys, 3, "sync_interval: always")
	h := start(t, servers.external(t, ca, keys), ca, &register{wards: map[uplink.Address]string{}})
	if d := h.Durability(); d.State != broker.Verified || len(d.Peers) != 3 {
		t.Fatalf("durability: %v", d)
	}
	foreignReplies(t, h)

	a := box("b1")
	c := h.client(t, a)
	until(t, c, "connected", connected)
	const before, after = 150, 150
	p := &publisher{c: c, subject: a.AuditSubject(), arrived: make(chan int, before+after)}
	done := make(chan error, 1)
	go func() { done <- p.publish(t.Context(), before+after) }()
	for wait(t, "progress", p.arrived) < before {
	}
	stream, err := h.JetStream().Stream(t.Context(), uplink.AuditStream)
	must(t, err)
	info, err := stream.Info(t.Context())
	must(t, err)
	killed := time.Now()
	var dead *node
	for _, n := range servers.nodes {
		if n.name == info.Cluster.Leader {
			dead = n
			n.kill(t)
		}
	}
	if dead == nil {
		t.Fatalf("leader %q is no server", info.Cluster.Leader)
	}
	must(t, wait(t, "all that was to be published", done))
	t.Logf("published on %s after the leader's death (%d outcomes unknown)", time.Since(killed).Round(time.Millisecond), p.unknown)

	// Two of three still take everything; nobody claims to know the third's disk.
	if got := contents(t, h, a.AuditSubject()); got != p.wanted(before+after) {
		t.Fatalf("stored:\n%s\nwanted:\n%s", got, p.wanted(before+after))
	}
	if d := h.Look(t.Context()); d.State != broker.Unverifiable || !strings.Contains(d.String(), dead.name) {
		t.Fatalf("durability without %s: %v", dead.name, d)
	}

	// Revoked on whichever server it is.
	until(t, c, "connected", connected)
	h.boxes.set(a, "")
	if err := h.Cut(t.Context(), a); err != nil && !strings.Contains(err.Error(), "2 of 3 servers answered") {
		t.Fatal(err)
	}
	until(t, c, "cut", func(s upstream.State) bool { return strings.Contains(s.Why, "refused by the hub") })

	dead.start(t)
	deadline := time.Now().Add(20 * time.Second)
	for d := h.Look(t.Context()); d.State != broker.Verified; d = h.Look(t.Context()) {
		if time.Now().After(deadline) {
			t.Fatalf("durability with %s back: %v", dead.name, d)
		}
	}
}

// publisher sends numbers 0, 1, 2 … as an outbox does: after a failure it asks what arrived.
type publisher struct {
	c       *upstream.Client
	subject string
	arrived chan int
	unknown int
}

func (p *publisher) publish(ctx context.Context, n int) error {
	var last uint64
	for next := 0; next < n; {
		seq, err := p.c.Publish(ctx, p.subject, nil, []byte(strconv.Itoa(next)), last)
		if err == nil {
			last, next = seq, next+1
			p.arrived <- next
			continue
		}
		if ctx.Err() != nil {
			return err
		}
		if errors.Is(err, upstream.ErrUnanswered) {
			p.unknown++
		}
		m, err := p.c.Last(ctx, uplink.AuditStream, p.subject)
		if err != nil {
			continue
		}
		arrived, err := strconv.Atoi(string(m.Payload))
		if err != nil || arrived+1 < next {
			return fmt.Errorf("%d was acknowledged, and the newest is %q", next-1, m.Payload)
		}
		// A copy that lags may say less than there is: the next publish then fails and asks again.
		last, next = m.Sequence, arrived+1
	}
	return nil
}

func (p *publisher) wanted(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintln(&out, i)
	}
	return out.String()
}

// contents are the payloads on a subject, in order. A cluster that just lost a server may need more than one question.
func contents(t *testing.T, h *hub, subject string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var s jetstream.Stream
	var count uint64
	insist(t, ctx, func() (err error) {
		if s, err = h.JetStream().Stream(ctx, uplink.AuditStream); err != nil {
			return err
		}
		i, err := s.Info(ctx, jetstream.WithSubjectFilter(subject))
		if err == nil {
			count = i.State.Subjects[subject]
		}
		return err
	})
	var out strings.Builder
	var seq uint64
	for range count {
		insist(t, ctx, func() error {
			m, err := s.GetMsg(ctx, seq+1, jetstream.WithGetMsgSubject(subject))
			if err == nil {
				seq = m.Sequence
				fmt.Fprintln(&out, string(m.Data))
			}
			return err
		})
	}
	return out.String()
}

func insist(t *testing.T, ctx context.Context, try func() error) {
	t.Helper()
	for err := try(); err != nil; err = try() {
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// The servers run, the hub does not: boxes wait and come in when it is back; those within stay and go on sending.
func TestHubIsDown(t *testing.T) {
	t.Parallel()
	ca, keys := newAuthority(t), newKeys(t)
	servers := startServers(t, ca, keys, 1, "sync_interval: always")
	config, boxes := servers.external(t, ca, keys), &register{wards: map[uplink.Address]string{}}

	absent := &hub{ca: ca, boxes: boxes, urls: servers.urls}
	early := absent.client(t, box("early"))
	until(t, early, "waiting", func(s upstream.State) bool { return strings.Contains(s.Why, "does not answer just now") })

	h := start(t, config, ca, boxes)
	until(t, early, "let in", connected)
	since := early.State().Since
	h.stop()
	if _, err := early.Publish(t.Context(), box("early").AuditSubject(), nil, []byte("without a hub"), 0); err != nil {
		t.Fatal(err)
	}
	late := absent.client(t, box("late"))
	until(t, late, "waiting", func(s upstream.State) bool { return strings.Contains(s.Why, "does not answer just now") })
	h = start(t, config, ca, boxes)
	until(t, late, "let in", connected)
	if s := early.State(); !s.Connected || s.Since != since {
		t.Fatalf("the box that was in: %+v", s)
	}
	if n := stored(t, h, box("early").AuditSubject()); n != 1 {
		t.Fatalf("%d stored", n)
	}
}

func TestDurabilityIsWrong(t *testing.T) {
	t.Parallel()
	ca, keys := newAuthority(t), newKeys(t)
	servers := startServers(t, ca, keys, 1, "")
	h := start(t, servers.external(t, ca, keys), ca, &register{wards: map[uplink.Address]string{}})
	if d := h.Durability(); d.State != broker.Wrong || !strings.Contains(d.String(), "sync_interval: always") {
		t.Fatalf("durability: %v", d)
	}
}

// Somebody with the servers' own rights changed a stream behind the hub's back.
func TestDurabilityOfAChangedStream(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	s, err := h.JetStream().Stream(t.Context(), uplink.BucketStream(uplink.ReleaseBucket))
	must(t, err)
	must(t, h.JetStream().DeleteStream(t.Context(), s.CachedInfo().Config.Name))
	if d := h.Look(t.Context()); d.State != broker.Wrong || !strings.Contains(d.String(), "KV_tapward_release is on no server") {
		t.Fatalf("durability: %v", d)
	}
	changed := s.CachedInfo().Config
	changed.Storage, changed.DenyPurge, changed.AllowRollup = jetstream.MemoryStorage, false, true
	_, err = h.JetStream().CreateStream(t.Context(), changed)
	must(t, err)
	d := h.Look(t.Context())
	for _, want := range []string{"in memory", "deny_purge", "allow_rollup_hdrs"} {
		if d.State != broker.Wrong || !strings.Contains(d.String(), want) {
			t.Fatalf("durability: %v lacks %q", d, want)
		}
	}
}

// The broker counts a box's messages, the hub its bytes; neither takes anything from the others.
func TestOneBoxFillsItsShare(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, func(c *broker.Config) {
		c.Limits = broker.Limits{Bytes: 31 << 20, Day: 1 << 20, Messages: 12, MaxAge: 31 * 24 * time.Hour}
	})
	many, heavy, other := box("many"), box("heavy"), box("other")
	clients := map[uplink.Address]*upstream.Client{}
	last := map[uplink.Address]uint64{}
	for _, a := range []uplink.Address{many, heavy, other} {
		clients[a] = h.client(t, a)
		until(t, clients[a], "connected", connected)
	}
	send := func(a uplink.Address, size int) error {
		seq, err := clients[a].Publish(t.Context(), a.AuditSubject(), nil, make([]byte, size), last[a])
		if err == nil {
			last[a] = seq
		}
		return err
	}
	for range 12 {
		must(t, send(many, 10))
	}
	if err := send(many, 10); !errors.Is(err, upstream.ErrFull) {
		t.Fatalf("one message too many: %v", err)
	}
	for range 2 {
		must(t, send(heavy, 900<<10))
	}
	until(t, clients[heavy], "cut", func(s upstream.State) bool { return !s.Connected })
	until(t, clients[heavy], "connected with less", connected)
	if err := send(heavy, 10); !errors.Is(err, upstream.ErrNotAllowed) {
		t.Fatalf("a byte too many: %v", err)
	}
	if over := h.Over(); len(over) != 1 || over[0] != heavy {
		t.Fatalf("over: %v", over)
	}
	must(t, clients[heavy].Put(t.Context(), uplink.ReportBucket, heavy.Key(), []byte("still heard")))
	must(t, send(other, 10))
	if n := stored(t, h, heavy.AuditSubject()); n != 2 {
		t.Fatalf("%d of the heavy box are stored", n)
	}
}

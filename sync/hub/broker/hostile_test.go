package broker_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tapward/gateway/audit"
	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

// raw is a box's connection in the hands of somebody who has its certificate and does what he likes.
type raw struct {
	*nats.Conn
	complaints chan error
}

func (h *hub) raw(t testing.TB, a uplink.Address, certificate *tls.Certificate) (*raw, error) {
	r := &raw{complaints: make(chan error, 256)}
	options := []nats.Option{
		nats.CustomInboxPrefix(a.Inbox()), nats.NoReconnect(), nats.Timeout(10 * time.Second),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { r.complaints <- err }),
	}
	c := &tls.Config{RootCAs: h.ca.pool, MinVersion: tls.VersionTLS12}
	if certificate != nil {
		c.Certificates = []tls.Certificate{*certificate}
	}
	nc, err := nats.Connect(h.urls[0], append(options, nats.Secure(c))...)
	if err != nil {
		return nil, err
	}
	t.Cleanup(nc.Close)
	r.Conn = nc
	return r, nil
}

// refused wants the broker to say that it does not allow it.
func (r *raw) refused(t *testing.T, what string) {
	t.Helper()
	select {
	case err := <-r.complaints:
		if !errors.Is(err, nats.ErrPermissionViolation) && !strings.Contains(err.Error(), "Permissions Violation") {
			t.Fatalf("%s: %v", what, err)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s was not refused", what)
	}
}

// settled makes sure that the broker has dealt with all that was sent before.
func (r *raw) settled(t *testing.T, a uplink.Address) {
	t.Helper()
	must(t, r.Flush())
	_, err := r.Request(uplink.LastSubject(uplink.AuditStream, a.AuditSubject()), nil, 10*time.Second)
	must(t, err)
}

// state is every message of every stream, to compare.
func state(t *testing.T, h *hub) string {
	t.Helper()
	var out []string
	for _, name := range []string{uplink.AuditStream, uplink.BucketStream(uplink.ReceiptBucket), uplink.BucketStream(uplink.ReportBucket), uplink.BucketStream(uplink.ReleaseBucket)} {
		s, err := h.JetStream().Stream(t.Context(), name)
		must(t, err)
		i, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
		must(t, err)
		subjects, err := json.Marshal(i.State.Subjects)
		must(t, err)
		out = append(out, fmt.Sprintf("%s: %d messages up to %d, %s", name, i.State.Msgs, i.State.LastSeq, subjects))
	}
	return strings.Join(out, "\n")
}

type attack struct {
	name, subject string
	header        nats.Header
	payload       string
}

func TestHostileBoxReachesNothingOfOthers(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	hostile, victim, far := box("evil"), box("victim"), uplink.Address{Site: "south", Box: "b1"}
	honest := h.client(t, victim)
	until(t, honest, "connected", connected)
	_, err := honest.Publish(t.Context(), victim.AuditSubject(), nil, []byte("the victim's bundle"), 0)
	must(t, err)
	must(t, honest.Put(t.Context(), uplink.ReportBucket, victim.Key(), []byte("the victim's report")))
	put(t, h, uplink.ReceiptBucket, victim.Key(), "the victim's receipt")
	put(t, h, uplink.ReleaseBucket, uplink.ReleaseKey(uplink.Policy, far.Site, ""), "the far site's policy")
	put(t, h, uplink.ReleaseBucket, uplink.ReleaseKey(uplink.Roster, "north", "w2"), "another ward's roster")

	h.boxes.set(hostile, "w1")
	r, err := h.raw(t, hostile, h.ca.issue(t, "evil", "north", time.Now().Add(time.Hour)))
	must(t, err)
	before := state(t, h)

	receipts, releases := uplink.BucketStream(uplink.ReceiptBucket), uplink.BucketStream(uplink.ReleaseBucket)
	ownRelease := uplink.BucketSubject(uplink.ReleaseBucket, uplink.ReleaseKey(uplink.Policy, "north", ""))
	foreignConsumer := `{"stream_name":"TAPWARD_AUDIT","config":{"filter_subject":"` + victim.AuditSubject() + `","ack_policy":"none","deliver_subject":"` + hostile.Inbox() + `.x"}}`
	for _, a := range []attack{
		{"another's audit subject", victim.AuditSubject(), nil, "forged"},
		{"another site's audit subject", far.AuditSubject(), nil, "forged"},
		{"a deeper subject of its own", hostile.AuditSubject() + ".x", nil, "forged"},
		{"another's report", uplink.BucketSubject(uplink.ReportBucket, victim.Key()), nil, "forged"},
		{"its own receipt", uplink.BucketSubject(uplink.ReceiptBucket, hostile.Key()), nil, "forged"},
		{"another's receipt", uplink.BucketSubject(uplink.ReceiptBucket, victim.Key()), nil, "forged"},
		{"a release", ownRelease, nil, "forged"},
		{"direct get of another's bundle", uplink.LastSubject(uplink.AuditStream, victim.AuditSubject()), nil, ""},
		{"direct get of the newest of all", "$JS.API.DIRECT.GET." + uplink.AuditStream, nil, `{"last_by_subj":"` + victim.AuditSubject() + `"}`},
		{"direct get by a wildcard", uplink.LastSubject(uplink.AuditStream, "tapward.audit.north.*"), nil, ""},
		{"direct get of another's receipt", uplink.LastSubject(receipts, uplink.BucketSubject(uplink.ReceiptBucket, victim.Key())), nil, ""},
		{"direct get of a foreign site's release", uplink.LastSubject(releases, uplink.BucketSubject(uplink.ReleaseBucket, uplink.ReleaseKey(uplink.Policy, far.Site, ""))), nil, ""},
		{"direct get of another ward's roster", uplink.LastSubject(releases, uplink.BucketSubject(uplink.ReleaseBucket, uplink.ReleaseKey(uplink.Roster, "north", "w2"))), nil, ""},
		{"a message by its sequence", "$JS.API.STREAM.MSG.GET." + uplink.AuditStream, nil, `{"seq":1}`},
		{"a consumer with a foreign filter", "$JS.API.CONSUMER.CREATE." + uplink.AuditStream + ".c." + victim.AuditSubject(), nil, foreignConsumer},
		{"a consumer by the old request", "$JS.API.CONSUMER.CREATE." + uplink.AuditStream, nil, foreignConsumer},
		{"a durable consumer", "$JS.API.CONSUMER.DURABLE.CREATE." + uplink.AuditStream + ".c", nil, foreignConsumer},
		{"the stream's state", "$JS.API.STREAM.INFO." + uplink.AuditStream, nil, ""},
		{"a purge", "$JS.API.STREAM.PURGE." + uplink.AuditStream, nil, ""},
		{"a deletion", "$JS.API.STREAM.DELETE." + uplink.AuditStream, nil, ""},
		{"a message's deletion", "$JS.API.STREAM.MSG.DELETE." + uplink.AuditStream, nil, `{"seq":1}`},
		{"a stream of its own", "$JS.API.STREAM.CREATE.MINE", nil, `{"name":"MINE","subjects":["tapward.>"]}`},
		{"a question for the hub about boxes", "$SYS.REQ.USER.AUTH", nil, "x"},
		{"a question for the servers", "$SYS.REQ.SERVER.PING.CONNZ", nil, ""},
		{"a reply in another's inbox", victim.Inbox() + ".x", nil, "x"},
		{"what another hears live", "tapward.anything", nil, "x"},
	} {
		must(t, r.PublishMsg(&nats.Msg{Subject: a.subject, Reply: r.NewRespInbox(), Header: a.header, Data: []byte(a.payload)}))
		must(t, r.Flush())
		r.refused(t, "publish: "+a.name)
	}
	for name, subject := range map[string]string{
		"everything": ">", "others' bundles": "tapward.audit.>", "another's inbox": victim.Inbox() + ".>", "all inboxes": "_INBOX.north.*.>",
		"the plain inbox": "_INBOX.>", "another's receipt": uplink.BucketSubject(uplink.ReceiptBucket, victim.Key()),
		"all receipts": uplink.BucketSubject(uplink.ReceiptBucket, ">"), "others' reports": uplink.BucketSubject(uplink.ReportBucket, ">"),
		"a foreign site's releases": uplink.BucketSubject(uplink.ReleaseBucket, far.Site+".>"),
		"another ward's roster":     uplink.BucketSubject(uplink.ReleaseBucket, uplink.ReleaseKey(uplink.Roster, "north", "w2")),
		"its own bundles":           hostile.AuditSubject(), "the system's events": "$SYS.>", "JetStream's events": "$JS.EVENT.>",
	} {
		_, err := r.SubscribeSync(subject)
		must(t, err)
		must(t, r.Flush())
		r.refused(t, "subscribe: "+name)
	}
	if after := state(t, h); after != before {
		t.Fatalf("something was stored:\n%s\nwas\n%s", after, before)
	}
}

func TestTooManySubscriptions(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	a := box("evil")
	h.boxes.set(a, "w1")
	r, err := h.raw(t, a, h.ca.issue(t, "evil", "north", time.Now().Add(time.Hour)))
	must(t, err)
	for range 100 {
		_, err := r.SubscribeSync(r.NewRespInbox())
		must(t, err)
	}
	if err := wait(t, "a refusal", r.complaints); !errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
		t.Fatalf("a hundred subscriptions: %v", err)
	}
}

// JetStream answers where the publisher says. Answers must not be stored as if they were another's messages, nor reach
// the hub as a request.
func TestForeignReplySubjectsStoreNothing(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	foreignReplies(t, h)
}

func foreignReplies(t *testing.T, h *hub) {
	hostile, victim := box("evil"), box("victim")
	h.boxes.set(hostile, "w1")
	r, err := h.raw(t, hostile, h.ca.issue(t, "evil", "north", time.Now().Add(time.Hour)))
	must(t, err)
	own := hostile.AuditSubject()
	_, err = r.Request(own, []byte("its own bundle"), 10*time.Second)
	must(t, err)
	before := state(t, h)
	sent := 0
	for _, reply := range []string{
		victim.AuditSubject(),
		uplink.BucketSubject(uplink.ReportBucket, victim.Key()),
		uplink.BucketSubject(uplink.ReceiptBucket, victim.Key()),
		uplink.BucketSubject(uplink.ReceiptBucket, hostile.Key()),
		uplink.BucketSubject(uplink.ReleaseBucket, uplink.ReleaseKey(uplink.Revocations, "north", "")),
		"$JS.API.STREAM.PURGE." + uplink.AuditStream,
		"$JS.API.STREAM.DELETE." + uplink.AuditStream,
		"$SYS.REQ.USER.AUTH",
	} {
		// Refused as out of sequence, so that only an answer could be stored; and the box's own message read back.
		bad := nats.Header{nats.ExpectedLastSubjSeqHdr: {"999999"}}
		must(t, r.PublishMsg(&nats.Msg{Subject: own, Reply: reply, Header: bad, Data: []byte("x")}))
		must(t, r.PublishMsg(&nats.Msg{Subject: uplink.LastSubject(uplink.AuditStream, own), Reply: reply}))
		// Told to tell of its way to there.
		must(t, r.PublishMsg(&nats.Msg{Subject: own, Header: nats.Header{
			nats.ExpectedLastSubjSeqHdr: {"999999"}, "Nats-Trace-Dest": {reply}, "Nats-Trace-Only": {"true"}}, Data: []byte("x")}))
		sent++
	}
	r.settled(t, hostile)
	if after := state(t, h); after != before {
		t.Fatalf("after %d foreign replies:\n%s\nwas\n%s", sent, after, before)
	}
}

// Headers that JetStream obeys must not reach beyond the box's own subject.
func TestHeadersOfAHostileBox(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	hostile, victim := box("evil"), box("victim")
	honest := h.client(t, victim)
	until(t, honest, "connected", connected)
	_, err := honest.Publish(t.Context(), victim.AuditSubject(), nil, []byte("the victim's bundle"), 0)
	must(t, err)
	must(t, honest.Put(t.Context(), uplink.ReportBucket, victim.Key(), []byte("the victim's report")))
	h.boxes.set(hostile, "w1")
	r, err := h.raw(t, hostile, h.ca.issue(t, "evil", "north", time.Now().Add(time.Hour)))
	must(t, err)
	before := state(t, h)
	for _, subject := range []string{hostile.AuditSubject(), uplink.BucketSubject(uplink.ReportBucket, hostile.Key())} {
		for name, header := range map[string]nats.Header{
			"purge all by rollup": {nats.MsgRollup: {"all"}}, "purge its own by rollup": {nats.MsgRollup: {"sub"}},
			"a batch":        {"Nats-Batch-Id": {"x"}, "Nats-Batch-Sequence": {"1"}, "Nats-Batch-Commit": {"1"}},
			"a time to live": {"Nats-TTL": {"1s"}}, "a counter": {"Nats-Incr": {"1"}},
			"a schedule to elsewhere": {"Nats-Schedule": {"@at 2020-01-01T00:00:00Z"}, "Nats-Schedule-Target": {victim.AuditSubject()}},
			"another stream":          {nats.ExpectedStreamHdr: {"KV_tapward_release"}},
		} {
			m, err := r.RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: []byte("x")}, 10*time.Second)
			if err != nil {
				t.Fatalf("%s on %s: %v", name, subject, err)
			}
			if !strings.Contains(string(m.Data), `"error"`) {
				t.Errorf("%s on %s: %s", name, subject, m.Data)
			}
		}
	}
	if after := state(t, h); after != before {
		t.Fatalf("stored:\n%s\nwas\n%s", after, before)
	}
}

func TestOversizeAndReplay(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	a := box("b1")
	c := h.client(t, a)
	until(t, c, "connected", connected)
	first, err := c.Publish(t.Context(), a.AuditSubject(), nil, make([]byte, audit.MaxBundleBytes), 0)
	must(t, err) // the largest bundle fits
	before := state(t, h)
	for _, size := range []int{audit.MaxBundleBytes + 48<<10, 4 << 20, 9 << 20} {
		if _, err := c.Publish(t.Context(), a.AuditSubject(), nil, make([]byte, size), first); !errors.Is(err, upstream.ErrTooLarge) {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	if err := c.Put(t.Context(), uplink.ReportBucket, a.Key(), make([]byte, 200<<10)); !errors.Is(err, upstream.ErrTooLarge) {
		t.Fatalf("a large report: %v", err)
	}
	// Somebody who does not care is thrown out.
	for _, subject := range []string{a.AuditSubject(), uplink.BucketSubject(uplink.ReportBucket, a.Key())} {
		r, err := h.raw(t, a, h.ca.issue(t, "b1", "north", time.Now().Add(time.Hour)))
		must(t, err)
		if m, err := r.Request(subject, make([]byte, 4<<20), 10*time.Second); err == nil {
			t.Fatalf("4 MiB on %s: %s", subject, m.Data)
		}
	}
	var wrong *upstream.SequenceError
	if _, err := c.Publish(t.Context(), a.AuditSubject(), nil, []byte("again"), 0); !errors.As(err, &wrong) {
		t.Fatalf("replay: %v", err)
	}
	if after := state(t, h); after != before {
		t.Fatalf("stored:\n%s\nwas\n%s", after, before)
	}
}

func TestWrongCertificates(t *testing.T) {
	t.Parallel()
	h := startEmbedded(t, nil)
	a := box("b1")
	h.boxes.set(a, "w1")
	other := newAuthority(t)
	soon := time.Now().Add(time.Hour)
	before := state(t, h)
	for name, certificate := range map[string]*tls.Certificate{
		"none": nil, "of another CA": other.issue(t, "b1", "north", soon),
		"expired":                        h.ca.issue(t, "b1", "north", time.Now().Add(-time.Minute)),
		"of a box the hub does not know": h.ca.issue(t, "b2", "north", soon), "of a site the hub does not know": h.ca.issue(t, "b1", "south", soon),
		"of no box": h.ca.issue(t, "hub nkey user", "north", soon),
	} {
		if r, err := h.raw(t, a, certificate); err == nil {
			m, err := r.Request(a.AuditSubject(), []byte("x"), 5*time.Second)
			t.Errorf("certificate %s: let in (%v, %v)", name, m, err)
		}
	}
	if after := state(t, h); after != before {
		t.Fatalf("stored:\n%s\nwas\n%s", after, before)
	}
	// What the box says of it.
	stranger := h.unregistered(t, a, func() (*tls.Certificate, error) { return other.issue(t, "b1", "north", soon), nil })
	until(t, stranger, "in words", func(s upstream.State) bool { return strings.Contains(s.Why, "not one of its CA") })
	unknown := h.unregistered(t, box("b2"), func() (*tls.Certificate, error) { return nil, nil })
	until(t, unknown, "in words", func(s upstream.State) bool { return strings.Contains(s.Why, "refused by the hub: it does not know") })
}

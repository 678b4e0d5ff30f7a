package bundle_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/handoff"
	"tapward/gateway/phone"
	"tapward/gateway/policy"
	"tapward/gateway/session"
	"tapward/gateway/store"
	"tapward/sync/bundle"
	"tapward/sync/uplink"
)

var (
	hubKey   = ed25519.NewKeyFromSeed([]byte("the hub's release key, 32 bytes!"))
	otherKey = ed25519.NewKeyFromSeed([]byte("another release key, 32 bytes!!!"))
	badgeKey = gateway.BadgeKey{1, 2, 3}
	address  = uplink.Address{Site: "north", Box: "box-1"}
)

func badge(n int) gateway.Credential {
	return gateway.NewCredential(gateway.UID, fmt.Appendf(nil, "badge %d", n))
}

// document is a policy with a number of people.
func document(version uint64, people int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "version = %d\nsite = \"north\"\n[[ward]]\nid = \"5b\"\nname = \"Ward 5B\"\n[[reader]]\nid = \"door\"\nward = \"5b\"\npool = \"shared\"\n", version)
	for n := range people {
		fmt.Fprintf(&b, "[[clinician]]\nid = \"c-%d\"\nname = \"Example Person %d\"\nrole = \"nurse\"\nwards = [\"5b\"]\nbadges = [%q]\n", n, n, badge(n).Hash(badgeKey))
	}
	return []byte(b.String())
}

func release(kind uplink.Kind, version uint64, body []byte) uplink.Release {
	return uplink.Release{Kind: kind, Site: "north", Version: version, Issued: time.Now(), Body: body}
}

func signed(t testing.TB, r uplink.Release, key ed25519.PrivateKey) []byte {
	t.Helper()
	out, err := uplink.SignRelease(r, key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// revoked is a list of people from 0 to n-1, one decision each.
func revoked(t testing.TB, n int) []byte {
	t.Helper()
	r := uplink.Revoked{Through: uint64(n)}
	for i := range n {
		r.List = append(r.List, uplink.Revocation{Number: uint64(i + 1), Target: uplink.Clinician, ID: fmt.Sprintf("c-%d", i), At: time.Now().UTC(), Reason: "left"})
	}
	body, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// hub remembers the newest of each kind, as the broker does, and can be cut off.
type hub struct {
	mu      sync.Mutex
	newest  map[uplink.Kind][]byte
	deliver func(uplink.Kind, []byte)
	away    bool
	reports []uplink.Report
}

func (h *hub) Watch(ctx context.Context, deliver func(uplink.Kind, []byte), kinds ...uplink.Kind) error {
	h.mu.Lock()
	h.deliver = deliver
	newest := h.newest
	h.mu.Unlock()
	for _, k := range kinds {
		if m := newest[k]; m != nil {
			deliver(k, m)
		}
	}
	<-ctx.Done()
	return nil
}

// put releases something; a box that is cut off hears only of the newest, later.
func (h *hub) put(kind uplink.Kind, m []byte) {
	h.mu.Lock()
	h.newest[kind] = m
	deliver, away := h.deliver, h.away
	h.mu.Unlock()
	if !away && deliver != nil {
		deliver(kind, m)
	}
}

func (h *hub) cut(away bool) {
	h.mu.Lock()
	h.away = away
	newest, deliver := h.newest, h.deliver
	h.mu.Unlock()
	if !away {
		for _, k := range bundle.Kinds {
			if m := newest[k]; m != nil {
				deliver(k, m)
			}
		}
	}
}

func (h *hub) Report(_ context.Context, payload []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away {
		return errors.New("cut off")
	}
	r, err := uplink.ParseReport(payload)
	h.reports = append(h.reports, r)
	return err
}

func (h *hub) report() uplink.Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.reports) == 0 {
		return uplink.Report{}
	}
	return h.reports[len(h.reports)-1]
}

// box is the real engine on a real database, without phones, and its bundle.
type box struct {
	t      *testing.T
	path   string
	hub    *hub
	db     *store.Store
	breaks *journal
	engine *handoff.Engine
	bundle *bundle.Bundle
	ended  chan error
	cancel context.CancelFunc
	gone   chan error
}

type silent struct{}

func (silent) Send(gateway.Command, string)    {}
func (silent) Prepare(gateway.Command, string) {}
func (silent) Pair(gateway.Phone)              {}
func (silent) Forget(gateway.PhoneID)          {}
func (silent) Propose(phone.Sighting)          {}
func (silent) Signal(gateway.Feedback)         {}

// journal is the store, which can also fail in both ways.
type journal struct {
	*store.Store
	mu          sync.Mutex
	refuse, lie error
}

func (j *journal) set(refuse, lie error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.refuse, j.lie = refuse, lie
}

func (j *journal) Storage() gateway.Storage { return gateway.StorageOK }

func (j *journal) Commit(ctx context.Context, s session.State, entries []audit.Entry, acts ...gateway.Act) (audit.Head, error) {
	j.mu.Lock()
	refuse, lie := j.refuse, j.lie
	j.mu.Unlock()
	if refuse != nil {
		return audit.Head{}, refuse
	}
	head, err := j.Store.Commit(ctx, s, entries, acts...)
	if err == nil {
		err = lie
	}
	return head, err
}

func inBox(t *testing.T, f func(b *box)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &box{t: t, path: filepath.Join(dir, "ward.db"), hub: &hub{newest: map[uplink.Kind][]byte{}}}
		b.start()
		f(b)
		b.stop()
	})
}

func (b *box) start() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	b.db, err = store.Open(ctx, store.Config{Path: b.path, Create: true, Box: address.Box, Reserve: 1 << 16, LowWater: 1, BootID: "boot"})
	if err != nil {
		b.t.Fatal(err)
	}
	stored, err := b.db.Load(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	var snapshot policy.Snapshot
	if stored.Policy != nil {
		doc, err := policy.Parse(stored.Policy)
		if err != nil {
			b.t.Fatal(err)
		}
		snapshot = policy.New(doc, "5b", badgeKey)
	}
	b.breaks = &journal{Store: b.db}
	began := time.Now()
	b.engine = handoff.New(handoff.Config{
		Box: address.Box, Ward: "5b", Journal: b.breaks, Phones: silent{}, Readers: silent{}, Log: slog.New(slog.DiscardHandler),
		State: stored.State, Head: stored.Head, Policy: snapshot.Revoke(stored.Revocations), Loaded: stored.PolicyLoaded,
		BadgeKey: badgeKey, Sources: []gateway.ReaderID{"door"}, Uptime: func() time.Duration { return time.Since(began) },
	})
	b.cancel, b.ended, b.gone = cancel, make(chan error, 1), make(chan error, 1)
	go func() { b.ended <- b.engine.Run(ctx) }()
	synctest.Wait()
	b.bundle, err = bundle.New(bundle.Config{
		Address: address, Ward: "5b", Version: "1.2.3", Key: hubKey.Public().(ed25519.PublicKey),
		Stored: func() (uint32, int64) { return 1, 7 },
	}, b.hub, b.engine, slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatal(err)
	}
	go func() { b.gone <- b.bundle.Run(ctx) }()
	synctest.Wait()
}

// stop ends the box, whether or not its engine has ended by itself.
func (b *box) stop() {
	b.t.Helper()
	b.cancel()
	<-b.ended
	if err := <-b.gone; err != nil {
		b.t.Error(err)
	}
	if err := b.db.Close(); err != nil {
		b.t.Error(err)
	}
}

// put releases something and lets the box act on it.
func (b *box) put(kind uplink.Kind, m []byte) {
	b.hub.put(kind, m)
	synctest.Wait()
}

// pass lets time go by.
func (b *box) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// answer is what a tap comes to.
func (b *box) answer(n int) gateway.Reason {
	b.t.Helper()
	b.engine.Tap(b.t.Context(), gateway.Tap{Reader: "door", Credential: badge(n), Assurance: gateway.Assurance{Card: gateway.CardNumber}, At: time.Now()})
	synctest.Wait()
	r := b.records()[0]
	if r.Kind != gateway.TapRefused {
		b.t.Fatalf("the newest record is %+v", r)
	}
	return r.Reasons[0]
}

// records are the log's, newest first.
func (b *box) records() (records []gateway.Record) {
	b.t.Helper()
	listed, err := audit.Take(b.db.Backwards(b.t.Context(), audit.Filter{}), 5000)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, l := range listed {
		records = append(records, l.Entry.Record)
	}
	return records
}

func (b *box) count(kind gateway.RecordKind) (n int) {
	for _, r := range b.records() {
		if r.Kind == kind {
			n++
		}
	}
	return n
}

// inForce checks the versions that the box runs and reports.
func (b *box) inForce(policy, revocations uint64) {
	b.t.Helper()
	b.pass(time.Second) // the reports of one change are spread
	w, _ := b.engine.Ward()
	if w.Policy.Version != policy || w.Revoked.Through != revocations {
		b.t.Errorf("policy %d and revocations %d are in force, want %d and %d", w.Policy.Version, w.Revoked.Through, policy, revocations)
	}
	a := b.hub.report().Applied
	if a[uplink.Policy].Version != policy || a[uplink.Revocations].Version != revocations ||
		a[uplink.Policy].Digest != w.Policy.Digest || a[uplink.Revocations].Digest != w.Revoked.Digest {
		b.t.Errorf("the report says %+v", a)
	}
}

// refuses checks that a release is not taken, and what the report says about it.
func (b *box) refuses(kind uplink.Kind, m []byte, why string) {
	b.t.Helper()
	b.put(kind, m)
	b.pass(time.Second)
	if said := b.hub.report().Applied[kind].Refused; !strings.Contains(said, why) {
		b.t.Errorf("the report says %q, want %q", said, why)
	}
}

func words(records []gateway.Record, kind gateway.RecordKind) []string {
	var all []string
	for _, r := range records {
		if r.Kind == kind {
			all = append(all, r.Operator+": "+r.Words)
		}
	}
	slices.Reverse(all)
	return all
}

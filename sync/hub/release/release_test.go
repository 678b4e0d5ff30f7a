package release_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tapward/gateway"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/release"
	"tapward/sync/uplink"
)

// Twenty boxes over real connections: what the hospital decides is in force on all of them, the hub knows it of each, and
// of the one that is deaf it knows that too, until it hears all at once.
func TestTwentyBoxes(t *testing.T) {
	t.Parallel()
	h := newHospital(t)
	r, _ := h.releases(openDatabase(t, databasetest.SQLite(t)), 0)
	wards := map[string]*ward{}
	cuts := map[string]func(){}
	for n := range 20 {
		name := fmt.Sprintf("box-%02d", n)
		wards[name] = h.box(name)
		cuts[name] = h.connect(name, wards[name])
	}
	version, err := r.ReleasePolicy(t.Context(), document(4, "c-1", "c-2"), "kim")
	must(t, err)
	v, err := r.Revoke(t.Context(), uplink.Clinician, "c-1", "left", "kim")
	must(t, err)
	if version != 4 || v.Number != 1 {
		t.Fatalf("version %d, number %d", version, v.Number)
	}
	for _, w := range wards {
		w.until(t, 4, 1)
	}
	all := reach(t, r, 1, func(r release.Reach) bool { return r.Deaf == 0 })
	if len(all.Boxes) != 20 || all.Sent.Before(all.Revocation.At) || all.Person != "kim" || !all.TrustEnds.IsZero() {
		t.Errorf("reach is %+v", all)
	}
	for _, b := range all.Boxes {
		if b.Took <= 0 || b.Took > time.Minute || b.Version != 1 || b.Heard.IsZero() {
			t.Errorf("box %+v", b)
		}
	}

	cuts["box-07"]()
	for n := range 100 {
		_, err := r.Revoke(t.Context(), uplink.Clinician, fmt.Sprintf("c-%d", n+100), "left", "kim")
		must(t, err)
	}
	for name, w := range wards {
		if name != "box-07" {
			w.until(t, 4, 101)
		}
	}
	deaf := reach(t, r, 101, func(r release.Reach) bool { return r.Deaf == 1 })
	if b := deaf.Boxes[0]; b.ID != "box-07" || !b.Applied.IsZero() || b.Version != 1 || b.TrustEnds != deaf.TrustEnds ||
		b.TrustEnds.Sub(b.Heard) < 40*time.Minute || b.TrustEnds.Sub(b.Heard) > 45*time.Minute {
		t.Errorf("the deaf box is %+v of %+v", b, deaf.TrustEnds)
	}
	cuts["box-07"] = h.connect("box-07", wards["box-07"])
	wards["box-07"].until(t, 4, 101)
	if got, _ := wards["box-07"].Ward(); got.Revoked.Listed != 101 {
		t.Errorf("the box that was deaf has %d of 101", got.Revoked.Listed)
	}
	reach(t, r, 101, func(r release.Reach) bool { return r.Deaf == 0 })
}

// onBroker is what boxes read.
func (h *hospital) onBroker(kind uplink.Kind) (uplink.Release, uplink.Revoked) {
	h.t.Helper()
	bucket, err := h.broker.JetStream().KeyValue(context.Background(), uplink.ReleaseBucket)
	must(h.t, err)
	entry, err := bucket.Get(context.Background(), uplink.ReleaseKey(kind, site, ""))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return uplink.Release{}, uplink.Revoked{}
	}
	must(h.t, err)
	r, err := uplink.OpenRelease(entry.Value(), hubKey.Public().(ed25519.PublicKey))
	must(h.t, err)
	if kind != uplink.Revocations {
		return r, uplink.Revoked{}
	}
	list, err := uplink.ParseRevoked(r.Body)
	must(h.t, err)
	return r, list
}

// heard follows what boxes hear of a kind.
func (h *hospital) heard(kind uplink.Kind) <-chan jetstream.KeyValueEntry {
	bucket, err := h.broker.JetStream().KeyValue(context.Background(), uplink.ReleaseBucket)
	must(h.t, err)
	w, err := bucket.Watch(h.t.Context(), uplink.ReleaseKey(kind, site, ""))
	must(h.t, err)
	h.t.Cleanup(func() { w.Stop() })
	return w.Updates()
}

// version waits for a release of a version to be on the broker.
func version(t testing.TB, c <-chan jetstream.KeyValueEntry, want uint64) uplink.Release {
	t.Helper()
	for {
		entry := wait(t, fmt.Sprintf("version %d", want), c)
		if entry == nil {
			continue
		}
		if r, err := uplink.OpenRelease(entry.Value(), hubKey.Public().(ed25519.PublicKey)); err == nil && r.Version >= want {
			return r
		}
	}
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	engines.Each(t, func(t *testing.T, url string) {
		h := newHospital(t)
		r, _ := h.releases(openDatabase(t, url), 0)
		ctx := t.Context()
		good := strings.Repeat("ab", 32)
		for what, err := range map[string]error{
			"no document":  second(r.ReleasePolicy(ctx, []byte("version ="), "kim")),
			"another site": second(r.ReleasePolicy(ctx, bytes.ReplaceAll(document(1), []byte("north"), []byte("south")), "kim")),
			"by nobody":    second(r.ReleasePolicy(ctx, document(1), "")),
			"no target":    second(r.Revoke(ctx, "teapot", "x", "left", "kim")),
			"no id":        second(r.Revoke(ctx, uplink.Clinician, "", "left", "kim")),
			"no reason":    second(r.Revoke(ctx, uplink.Clinician, "c-1", "", "kim")),
			"no person":    second(r.Revoke(ctx, uplink.Clinician, "c-1", "left", "")),
			"no badge":     second(r.Revoke(ctx, uplink.Badge, "12", "lost", "kim")),
			"no phone":     second(r.Revoke(ctx, uplink.Phone, "a b", "lost", "kim")),
			"a long id":    second(r.Revoke(ctx, uplink.Clinician, strings.Repeat("x", 129), "left", "kim")),
			"no number":    second(r.Reach(ctx, 9)),
		} {
			if err == nil {
				t.Errorf("%s: taken", what)
			}
		}
		heard, policies := h.heard(uplink.Revocations), h.heard(uplink.Policy)
		must(t, second(r.ReleasePolicy(ctx, document(3, "c-1"), "kim")))
		for _, old := range []uint64{3, 2} {
			if _, err := r.ReleasePolicy(ctx, document(old, "c-2"), "kim"); err == nil || !strings.Contains(err.Error(), "is not above 3") {
				t.Errorf("version %d: %v", old, err)
			}
		}
		if got := version(t, policies, 3); !bytes.Equal(got.Body, document(3, "c-1")) {
			t.Error("the broker has another policy")
		}
		for i, v := range []struct {
			target uplink.Target
			id     string
		}{{uplink.Clinician, "c-1"}, {uplink.Badge, strings.ToUpper(good)}, {uplink.Phone, "phone-1"}, {uplink.Badge, good}} {
			got, err := r.Revoke(ctx, v.target, v.id, "lost", "lee")
			must(t, err)
			if got.Number != uint64(i+1) {
				t.Errorf("number %d, want %d", got.Number, i+1)
			}
		}
		body := version(t, heard, 4).Body
		list, err := uplink.ParseRevoked(body)
		must(t, err)
		if list.Through != 4 || len(list.List) != 3 || list.List[1].Target != uplink.Phone || list.List[2].ID != good {
			t.Errorf("the list is %+v", list) // the earlier decision about the same badge is left out
		}
		dropped := reach(t, r, 2, func(r release.Reach) bool { return !r.Sent.IsZero() })
		if dropped.Dropped.IsZero() || dropped.Revocation.ID != good {
			t.Errorf("number 2 is %+v", dropped)
		}
		reach(t, r, 2, func(release.Reach) bool { return len(h.told(release.Revoked)) == 4 })
		if e := h.told(release.Revoked); len(e) != 4 || e[0].Person != "lee" || e[0].Subject != "clinician c-1" || strings.Contains(e[0].Words, "c-1") {
			t.Errorf("the events are %+v", e)
		}
		if e := h.told(release.PolicyReleased); len(e) != 1 || e[0].Person != "kim" || !strings.HasPrefix(e[0].Words, "version 3: 1 wards, 1 readers, 1 people") {
			t.Errorf("the events are %+v", e)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// With every beat the same list is signed anew, and a policy is not.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	h := newHospital(t)
	r, _ := h.releases(openDatabase(t, databasetest.SQLite(t)), 20*time.Millisecond)
	heard := h.heard(uplink.Revocations)
	must(t, second(r.ReleasePolicy(t.Context(), document(1), "kim")))
	must(t, second(r.Revoke(t.Context(), uplink.Phone, "phone-1", "lost", "kim")))
	first := version(t, heard, 1)
	policy, _ := h.onBroker(uplink.Policy)
	for range 5 {
		next := version(t, heard, 1)
		if next.Version != 1 || !bytes.Equal(next.Body, first.Body) || !next.Issued.After(first.Issued) {
			t.Fatalf("after %+v came %+v", first, next)
		}
		first = next
	}
	if now, _ := h.onBroker(uplink.Policy); !now.Issued.Equal(policy.Issued) {
		t.Error("the policy was signed anew")
	}
}

// The database is lost, or of last night. The broker has what was released since, and it goes on from there.
func TestRestoredDatabase(t *testing.T) {
	t.Parallel()
	engines.Each(t, func(t *testing.T, url string) {
		h := newHospital(t)
		heard, policies := h.heard(uplink.Revocations), h.heard(uplink.Policy)
		r, stop := h.releases(openDatabase(t, databasetest.SQLite(t)), 0)
		must(t, second(r.ReleasePolicy(t.Context(), document(6, "c-1"), "kim")))
		for n := range 5 {
			must(t, second(r.Revoke(t.Context(), uplink.Clinician, fmt.Sprintf("c-%d", n), "left", "kim")))
		}
		before := version(t, heard, 5)
		version(t, policies, 6)
		stop()

		r, _ = h.releases(openDatabase(t, url), 0)
		after := version(t, heard, 5)
		if !bytes.Equal(after.Body, before.Body) || !after.Issued.After(before.Issued) {
			t.Errorf("it is another list under the same number: %s\nwas %s", after.Body, before.Body)
		}
		v, err := r.Revoke(t.Context(), uplink.Clinician, "c-9", "left", "kim")
		must(t, err)
		if _, err := r.ReleasePolicy(t.Context(), document(6), "kim"); err == nil {
			t.Error("a version was given twice")
		}
		list, err := uplink.ParseRevoked(version(t, heard, 6).Body)
		must(t, err)
		if v.Number != 6 || len(list.List) != 6 {
			t.Errorf("number %d, list %+v", v.Number, list)
		}
		must(t, second(r.ReleasePolicy(t.Context(), document(7), "kim")))
		version(t, policies, 7)
		reach(t, r, 6, func(release.Reach) bool {
			return len(h.told(release.Adopted)) == 2 || len(h.told(release.PolicyReleased)) == 2
		})
		if e := h.told(release.Adopted); len(e) != 2 {
			t.Errorf("the events are %+v", e)
		}
	})
}

// Database and broker are both of last night. What a box runs already is above what the hub would give next: it goes on
// above that, or no box would take it, and says that something was lost.
func TestRestoredDatabaseAndBroker(t *testing.T) {
	t.Parallel()
	h := newHospital(t)
	w := h.box("box-1")
	must(t, w.Do(t.Context(), "", gateway.InstallRevocations{Revocations: gateway.Revocations{Through: 55, Digest: gateway.Digest{1}}}))
	r, _ := h.releases(openDatabase(t, databasetest.SQLite(t)), 0)
	must(t, second(r.Revoke(t.Context(), uplink.Clinician, "c-0", "left", "kim"))) // before the box is back
	h.connect("box-1", w)
	lost := reach(t, r, 1, func(r release.Reach) bool { return r.Boxes[0].Refused != "" })
	if b := lost.Boxes[0]; lost.Deaf != 1 || b.Version != 55 || !b.Applied.IsZero() || !strings.Contains(b.Refused, "version 1 is not above 55") {
		t.Errorf("the box runs what this hub never gave: %+v", lost)
	}
	v, err := r.Revoke(t.Context(), uplink.Clinician, "c-1", "left", "kim")
	must(t, err)
	w.until(t, 0, v.Number)
	reach(t, r, v.Number, func(r release.Reach) bool { return r.Deaf == 0 && len(h.told(release.Lost)) == 1 })
	if e := h.told(release.Lost)[0]; v.Number != 56 || !strings.Contains(e.Words, "numbers 2 to 55 were lost") {
		t.Errorf("number %d, event %+v", v.Number, e)
	}
}

// Two hubs on one database and one broker decide at the same time: every number is given once, and the list that boxes
// read in the end has them all.
func TestTwoHubs(t *testing.T) {
	t.Parallel()
	h := newHospital(t)
	url := engines.PostgreSQL(t)
	heard := h.heard(uplink.Revocations)
	var wg sync.WaitGroup
	var mu sync.Mutex
	numbers := map[uint64]string{}
	for hub := range 2 {
		r, _ := h.releases(openDatabase(t, url), 5*time.Millisecond)
		for n := range 40 {
			wg.Go(func() {
				id := fmt.Sprintf("c-%d-%d", hub, n)
				v, err := r.Revoke(t.Context(), uplink.Clinician, id, "left", "kim")
				mu.Lock()
				defer mu.Unlock()
				if err != nil || numbers[v.Number] != "" {
					t.Errorf("%s is number %d, as is %q: %v", id, v.Number, numbers[v.Number], err)
				}
				numbers[v.Number] = id
			})
		}
	}
	wg.Wait()
	last := uint64(0)
	for last < 80 {
		next := version(t, heard, 1).Version
		if next < last {
			t.Fatalf("version %d came after %d", next, last)
		}
		last = next
	}
	_, list := h.onBroker(uplink.Revocations)
	if len(list.List) != 80 || list.Through != 80 {
		t.Errorf("the list has %d through %d", len(list.List), list.Through)
	}
}

// Somebody wrote to the broker what this hub did not sign: it is replaced.
func TestForeignReleaseIsReplaced(t *testing.T) {
	t.Parallel()
	h := newHospital(t)
	bucket, err := h.broker.JetStream().KeyValue(t.Context(), uplink.ReleaseBucket)
	must(t, err)
	other := ed25519.NewKeyFromSeed([]byte("another release key, 32 bytes!!!"))
	forged, err := uplink.SignRelease(uplink.Release{Kind: uplink.Revocations, Site: site, Version: 99, Issued: time.Now(), Body: []byte(`{"through":99}`)}, other)
	must(t, err)
	must(t, second(bucket.Put(t.Context(), uplink.ReleaseKey(uplink.Revocations, site, ""), forged)))
	heard := h.heard(uplink.Revocations)
	r, _ := h.releases(openDatabase(t, databasetest.SQLite(t)), 0)
	must(t, second(r.Revoke(t.Context(), uplink.Phone, "phone-1", "lost", "kim")))
	if got := version(t, heard, 1); got.Version != 1 {
		t.Errorf("version %d", got.Version)
	}
}

// What the policy made needless is left out, but only when every box has that policy; a phone stays.
func TestCompact(t *testing.T) {
	t.Parallel()
	engines.Each(t, func(t *testing.T, url string) {
		h := newHospital(t)
		heard := h.heard(uplink.Revocations)
		r, _ := h.releases(openDatabase(t, url), 0)
		ctx := t.Context()
		one, two := h.box("box-1"), h.box("box-2")
		h.connect("box-1", one)
		cut := h.connect("box-2", two)
		must(t, second(r.ReleasePolicy(ctx, document(1, "c-1", "c-2"), "kim")))
		for _, v := range []struct {
			target uplink.Target
			id     string
		}{{uplink.Clinician, "c-1"}, {uplink.Clinician, "c-2"}, {uplink.Badge, hash("c-1")}, {uplink.Badge, hash("c-2")}, {uplink.Phone, "phone-1"}} {
			must(t, second(r.Revoke(ctx, v.target, v.id, "left", "kim")))
		}
		for _, w := range []*ward{one, two} {
			w.until(t, 1, 5)
		}
		reach(t, r, 5, func(r release.Reach) bool { return r.Deaf == 0 })
		if n, err := r.Compact(ctx); n != 0 || err != nil {
			t.Errorf("%d left out, %v: all are on the roster", n, err)
		}
		cut()
		must(t, second(r.ReleasePolicy(ctx, document(2, "c-2"), "kim"))) // c-1 left
		one.until(t, 2, 5)
		if n, err := r.Compact(ctx); n != 0 || err != nil {
			t.Errorf("%d left out, %v: a box lacks the policy", n, err)
		}
		h.connect("box-2", two)
		two.until(t, 2, 5)
		everywhere := func(want uint64) func(release.Reach) bool {
			return func(release.Reach) bool {
				standings, err := r.Standings(ctx)
				must(t, err)
				for _, s := range standings {
					if s.Report.Applied[uplink.Policy].Version < want {
						return false
					}
				}
				return len(standings) == 2
			}
		}
		reach(t, r, 5, everywhere(2))
		if n, err := r.Compact(ctx); n != 2 || err != nil {
			t.Errorf("%d left out, %v, want 2", n, err)
		}
		list, err := uplink.ParseRevoked(version(t, heard, 6).Body)
		must(t, err)
		if list.Through != 6 || len(list.List) != 3 || list.List[0].ID != "c-2" || list.List[2].Target != uplink.Phone {
			t.Errorf("the list is %+v", list)
		}
		for _, w := range []*ward{one, two} {
			w.until(t, 2, 6)
		}
		if n, err := r.Compact(ctx); n != 0 || err != nil {
			t.Errorf("%d left out again, %v", n, err)
		}
		v, err := r.Revoke(ctx, uplink.Clinician, "c-3", "left", "kim")
		must(t, err)
		if v.Number != 7 {
			t.Errorf("number %d", v.Number)
		}
	})
}

// A box that was set back to an older state is deaf again, whatever it once had.
func TestBoxThatWasSetBack(t *testing.T) {
	t.Parallel()
	h := newHospital(t)
	r, _ := h.releases(openDatabase(t, databasetest.SQLite(t)), 0)
	w := h.box("box-1")
	cut := h.connect("box-1", w)
	must(t, second(r.Revoke(t.Context(), uplink.Clinician, "c-1", "left", "kim")))
	must(t, second(r.Revoke(t.Context(), uplink.Clinician, "c-2", "left", "kim")))
	reach(t, r, 2, func(r release.Reach) bool { return r.Deaf == 0 })
	cut()
	report, err := uplink.Report{Applied: map[uplink.Kind]uplink.Applied{uplink.Revocations: {Version: 1}}}.Encode()
	must(t, err)
	bucket, err := h.broker.JetStream().KeyValue(t.Context(), uplink.ReportBucket)
	must(t, err)
	must(t, second(bucket.Put(t.Context(), site+".box-1", report)))
	must(t, second(bucket.Put(t.Context(), site+".box-2", []byte("{"))))
	reach(t, r, 2, func(r release.Reach) bool { return r.Deaf == 1 })
	if got, err := r.Reach(t.Context(), 1); err != nil || got.Deaf != 0 {
		t.Errorf("reach of the first is %+v, %v", got, err)
	}
}

package release_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tapward/gateway"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/release"
	"tapward/sync/uplink"
)

// says puts a report on the broker in a box's name, and waits until the hub has it.
func (h *hospital) says(r *release.Releases, box string, through uint64) {
	h.t.Helper()
	report, err := uplink.Report{Applied: map[uplink.Kind]uplink.Applied{uplink.Revocations: {Version: through}}}.Encode()
	must(h.t, err)
	bucket, err := h.broker.JetStream().KeyValue(context.Background(), uplink.ReportBucket)
	must(h.t, err)
	must(h.t, second(bucket.Put(context.Background(), site+"."+box, report)))
	deadline := time.After(60 * time.Second)
	for {
		changed := r.Changed()
		standings, err := r.Standings(context.Background())
		must(h.t, err)
		for _, s := range standings {
			if s.Box == gateway.BoxID(box) && s.Report.Applied[uplink.Revocations].Version == through {
				return
			}
		}
		select {
		case <-changed:
		case <-deadline:
			h.t.Fatalf("the report of %s through %d was not heard", box, through)
		}
	}
}

// One box that says what cannot be does not use the numbers up, and the hub's own log names it. What is just near enough
// to be a restored backup's is believed, and the honest boxes follow and are heard.
func TestBoxThatLies(t *testing.T) {
	t.Parallel()
	engines.Each(t, func(t *testing.T, url string) {
		h := newHospital(t)
		r, _ := h.releases(openDatabase(t, url), 0)
		honest := h.box("honest")
		h.box("liar")
		h.connect("honest", honest)
		revoke := func(want uint64) {
			t.Helper()
			v, err := r.Revoke(t.Context(), uplink.Clinician, fmt.Sprintf("c-%d", want), "left", "kim")
			must(t, err)
			if v.Number != want {
				t.Fatalf("number %d, want %d", v.Number, want)
			}
			reach(t, r, want, func(r release.Reach) bool {
				return box(r, "honest").Version == want && !box(r, "honest").Applied.IsZero()
			})
		}
		h.says(r, "gone", 500) // was never enrolled, or is revoked
		revoke(1)
		h.says(r, "liar", 1<<40)
		revoke(2)
		revoke(3)
		h.says(r, "liar", 1<<64-1)
		revoke(4)
		h.says(r, "liar", 4+1_000_000+1)
		revoke(5)
		h.says(r, "liar", 5+1_000_000)
		revoke(1_000_006)
		reach(t, r, 5, func(release.Reach) bool { return len(h.told(release.Revoked)) == 6 })
		e := h.told(release.Disbelieved)
		if len(e) != 3 || e[0].Subject != "liar" || !strings.Contains(e[0].Words, "through number 1099511627776,") {
			t.Errorf("of the liar is told %+v", e) // once for each number, though two decisions met the first
		}
		if e := h.told(release.Lost); len(e) != 1 || e[0].Subject != "liar" || !strings.Contains(e[0].Words, "numbers 6 to 1000005 were lost") {
			t.Errorf("of what was lost is told %+v", e)
		}
	})
}

// A hub whose numbers are high already, whatever made them so, hears its boxes and decides on; no box raises them further.
func TestHighNumbers(t *testing.T) {
	t.Parallel()
	h := newHospital(t)
	db := openDatabase(t, databasetest.SQLite(t))
	_, err := db.ExecContext(t.Context(), `INSERT INTO release_turn (kind, version) VALUES ($1, $2)`, string(uplink.Revocations), int64(1<<40))
	must(t, err)
	r, _ := h.releases(db, 0)
	w := h.box("box-1")
	h.box("liar")
	h.connect("box-1", w)
	h.says(r, "liar", 1<<40+9)
	v, err := r.Revoke(t.Context(), uplink.Clinician, "c-1", "left", "kim")
	must(t, err)
	if v.Number != 1<<40+1 {
		t.Errorf("number %d", v.Number)
	}
	reach(t, r, v.Number, func(r release.Reach) bool { return !box(r, "box-1").Applied.IsZero() })
}

func box(r release.Reach, id gateway.BoxID) (found release.BoxReach) {
	for _, b := range r.Boxes {
		if b.ID == id {
			found = b
		}
	}
	return found
}

// silent is a broker that is not there.
type silent struct{}

func (silent) Ready() <-chan struct{}         { return nil }
func (silent) JetStream() jetstream.JetStream { panic("asked before it was ready") }

// While the broker is not there nothing is decided, and whoever asks hears so soon.
func TestBrokerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, databasetest.SQLite(t))
	synctest.Test(t, func(t *testing.T) {
		r, err := release.New(release.Config{Site: site, Key: hubKey}, db, silent{}, &hospital{}, &hospital{}, quiet)
		must(t, err)
		running(t, r.Run)
		for what, decide := range map[string]func() error{
			"revoke": func() error { return second(r.Revoke(t.Context(), uplink.Clinician, "c-1", "left", "kim")) },
			"policy": func() error { return second(r.ReleasePolicy(t.Context(), document(1, "c-1"), "kim")) },
		} {
			began := time.Now()
			err := decide()
			if err == nil || !strings.Contains(err.Error(), "the broker has not answered yet: nothing was decided; try again") {
				t.Errorf("%s: %v", what, err)
			}
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("%s: it took %v", what, took)
			}
		}
		began := time.Now()
		if standings, err := r.Standings(t.Context()); err == nil || time.Since(began) != 10*time.Second {
			t.Errorf("after %v the standings are %v, %v", time.Since(began), standings, err)
		}
	})
	for _, table := range []string{"release_turn", "release_revocation", "release_policy", "release_event"} {
		var rows int
		must(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&rows))
		if rows != 0 {
			t.Errorf("%s has %d rows", table, rows)
		}
	}
}

package handoff_test

import (
	"context"
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
)

// A ward under test: the engine in a bubble of fake time, on a real database, with handsets and readers that can fail in
// every way, and the badges of made-up staff.
type ward struct {
	t       *testing.T
	engine  *handoff.Engine
	journal *journal
	db      *store.Store
	phones  *handsets
	readers *lights
	stop    func()
	crashed func() // the engine ended by itself
	path    string
	boot    string
	policy  policy.Snapshot
}

var badgeKey = gateway.BadgeKey{1, 2, 3}

const document = `
version = %d
site = "northside"
[[ward]]
id = "5b"
name = "Ward 5B"
[[reader]]
id = "door"
ward = "5b"
pool = "shared"
[[reader]]
id = "dock"
ward = "5b"
pool = "shared"
slot = "slot-1"
`

// staff have badges of their own name.
var staff = []string{"ana", "ben", "cai", "dee", "eli"}

func badge(name string) gateway.Credential {
	return gateway.NewCredential(gateway.UID, []byte("badge of "+name))
}

func policyText(version int, out ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, document, version)
	for _, name := range staff {
		extra := ""
		switch {
		case slices.Contains(out, name):
			extra = "revoked = true\n"
		case name == "eli":
			extra = "expires = 1999-12-31T08:00:00Z\n"
		}
		fmt.Fprintf(&b, "[[clinician]]\nid = \"c-%s\"\nname = \"%s Test\"\nrole = \"nurse\"\nwards = [\"5b\"]\nbadges = [\"%s\"]\n%s",
			name, strings.ToUpper(name[:1])+name[1:], badge(name).Hash(badgeKey), extra)
	}
	return []byte(b.String())
}

// inWard runs f in a bubble with a ward of two phones, linked and charged.
func inWard(t *testing.T, f func(w *ward)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{t: t, path: filepath.Join(dir, "ward.db"), boot: "boot", phones: newHandsets(), readers: &lights{}}
		w.start()
		w.must(gateway.LoadPolicy{Document: policyText(1)})
		for _, id := range []gateway.PhoneID{"phone-1", "phone-2"} {
			w.pair(id)
		}
		f(w)
		w.stop()
	})
}

// start opens the database and runs the engine on it, as the daemon does.
func (w *ward) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	w.db, err = store.Open(ctx, store.Config{Path: w.path, Create: true, Box: "box-1", Reserve: 1 << 16, LowWater: 1, BootID: w.boot})
	if err != nil {
		w.t.Fatal(err)
	}
	stored, err := w.db.Load(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	if stored.Policy != nil {
		doc, err := policy.Parse(stored.Policy)
		if err != nil {
			w.t.Fatal(err)
		}
		w.policy = policy.New(doc, "5b", badgeKey)
	}
	w.policy = w.policy.Revoke(stored.Revocations)
	w.journal = &journal{Store: w.db}
	began := time.Now()
	floor, err := w.db.Floor(ctx, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.engine = handoff.New(handoff.Config{
		Box: "box-1", Ward: "5b", Journal: w.journal, Phones: w.phones, Readers: w.readers, Log: slog.New(slog.DiscardHandler),
		State: stored.State, Paired: stored.Paired, Head: stored.Head, Boot: stored.Boot, SameBoot: stored.SameBoot,
		Policy: w.policy, Floor: floor, BadgeKey: badgeKey, Sources: []gateway.ReaderID{"door", "dock"},
		Uptime: func() time.Duration { return time.Since(began) },
	})
	w.phones.report = func(r phone.Report) { w.engine.Report(ctx, r) }
	ended := make(chan error, 1)
	go func() { ended <- w.engine.Run(ctx) }()
	w.stop = func() {
		w.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("engine: %v", err)
		}
		if err := w.db.Close(); err != nil {
			w.t.Errorf("store: %v", err)
		}
	}
	w.crashed = func() {
		w.t.Helper()
		defer cancel()
		select {
		case err := <-ended:
			if err == nil {
				w.t.Error("the engine ended as if nothing were wrong")
			}
		default:
			w.t.Fatal("the engine goes on")
		}
		w.db.Close()
	}
	synctest.Wait()
}

func (w *ward) must(act gateway.Act) {
	w.t.Helper()
	if err := w.engine.Do(w.t.Context(), "tester", act); err != nil {
		w.t.Fatalf("%T: %v", act, err)
	}
	synctest.Wait()
}

func (w *ward) pair(id gateway.PhoneID) {
	w.t.Helper()
	w.must(gateway.AddPhone{Phone: gateway.Phone{ID: id, Key: gateway.FingerprintOf([]byte(id)), Class: gateway.Workflow, Pool: "shared"}})
	w.phones.add(id)
	w.phones.link(id)
	synctest.Wait()
}

// tap presents a badge and lets the fakes answer, which takes them a few milliseconds.
func (w *ward) tap(name string, at gateway.ReaderID) {
	w.engine.Tap(w.t.Context(), gateway.Tap{
		Reader: at, Origin: gateway.OriginPCSC, Credential: badge(name), Assurance: gateway.Assurance{Card: gateway.CardNumber}, At: time.Now(),
	})
	w.pass(100 * time.Millisecond)
}

// pass lets time go by.
func (w *ward) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *ward) phone(id gateway.PhoneID) gateway.WardPhone {
	w.t.Helper()
	picture, _ := w.engine.Ward()
	i := slices.IndexFunc(picture.Phones, func(p gateway.WardPhone) bool { return p.ID == id })
	if i < 0 {
		w.t.Fatalf("the station does not show %s", id)
	}
	return picture.Phones[i]
}

// shows checks what a phone's own screen shows and what the station says about it.
func (w *ward) shows(id gateway.PhoneID, name, phase string) {
	w.t.Helper()
	if got := w.phones.name(id); got != name {
		w.t.Errorf("%s shows %q, want %q", id, got, name)
	}
	if got := w.phone(id).Phase; got != phase {
		w.t.Errorf("the station says %s is %s, want %s", id, got, phase)
	}
}

func (w *ward) told(at gateway.ReaderID, signal gateway.Signal, reason gateway.Reason) {
	w.t.Helper()
	if f := w.readers.last(at); f.Signal != signal || f.Reason != reason {
		w.t.Errorf("%s last told %s (%s), want %s (%s)", at, f.Signal, f.Reason, signal, reason)
	}
}

// records are those of the log, oldest first.
func (w *ward) records() []gateway.Record {
	w.t.Helper()
	listed, err := audit.Take(w.db.Backwards(w.t.Context(), audit.Filter{}), 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	var records []gateway.Record
	for _, l := range slices.Backward(listed) {
		records = append(records, l.Entry.Record)
	}
	return records
}

func (w *ward) kinds() []gateway.RecordKind {
	w.t.Helper()
	var kinds []gateway.RecordKind
	for _, r := range w.records() {
		kinds = append(kinds, r.Kind)
	}
	return kinds
}

// logged checks that the log ends with records of these kinds.
func (w *ward) logged(want ...gateway.RecordKind) {
	w.t.Helper()
	have := w.kinds()
	if len(have) < len(want) || !slices.Equal(have[len(have)-len(want):], want) {
		w.t.Errorf("the log ends with %v, want %v", have[max(0, len(have)-len(want)-2):], want)
	}
}

// journal is the real store, which can also fail in both ways.
type journal struct {
	*store.Store
	mu    sync.Mutex
	fault fault
}

type fault struct {
	refuse error // instead of writing
	lie    error // after having written
	space  gateway.Storage
}

// breaks sets what goes wrong from now on.
func (j *journal) breaks(f fault) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fault = f
}

func (j *journal) faults() fault {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fault
}

func (j *journal) Storage() gateway.Storage { return j.faults().space }

func (j *journal) Commit(ctx context.Context, s session.State, entries []audit.Entry, acts ...gateway.Act) (audit.Head, error) {
	f := j.faults()
	if f.refuse != nil {
		return audit.Head{}, f.refuse
	}
	head, err := j.Store.Commit(ctx, s, entries, acts...)
	if err == nil && f.lie != nil {
		return audit.Head{}, f.lie
	}
	return head, err
}

// lights remember the feedback of every reader.
type lights struct {
	mu  sync.Mutex
	all []gateway.Feedback
}

func (l *lights) Signal(f gateway.Feedback) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, f)
}

func (l *lights) last(at gateway.ReaderID) gateway.Feedback {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range slices.Backward(l.all) {
		if f.Reader == at {
			return f
		}
	}
	return gateway.Feedback{}
}

package enrol_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/phone/link"
	box "tapward/sync/enrol"

	"tapward/sync/claim"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/enrol"
	"tapward/sync/hub/enrol/embedded"
)

var engines databasetest.Engines

func TestMain(m *testing.M) {
	if joinUntilKilled() {
		return
	}
	engines.Main(m)
}

const site = "st-anna"

func boxNamed(id string) claim.Subject { return claim.Subject{Kind: claim.Box, Site: site, ID: id} }

// must is for what cannot fail with what these tests give it.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// hub is a running hub's enrolment, which may be stopped and started again.
type hub struct {
	*enrol.Registrar
	t      testing.TB
	url    string // of the database
	folder string
	config enrol.Config
	ca     *embedded.CA
	other  enrol.Issuer // in place of ca
	db     *database.DB
	events *events
	log    bytes.Buffer
	addr   string
	stop   func()
}

// events is the hub's own audit, in memory.
type events struct {
	mu    sync.Mutex
	all   []enrol.Event
	cut   []claim.Subject
	fail  error         // of record
	uncut error         // of cutOff
	heard chan struct{} // closed at the next event
	each  func(enrol.Event)
}

func (e *events) record(_ context.Context, v enrol.Event) error {
	e.mu.Lock()
	if e.fail != nil {
		defer e.mu.Unlock()
		return e.fail
	}
	if !slices.ContainsFunc(e.all, func(o enrol.Event) bool { return o.ID == v.ID }) {
		e.all = append(e.all, v)
	}
	close(e.heard)
	e.heard = make(chan struct{})
	each := e.each
	e.mu.Unlock()
	if each != nil {
		each(v)
	}
	return nil
}

func (e *events) cutOff(_ context.Context, s claim.Subject) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cut = append(e.cut, s)
	return e.uncut
}

// wait gives the first event of a kind about a subject, when it has come.
func (e *events) wait(t testing.TB, kind enrol.EventKind, s claim.Subject) enrol.Event {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		e.mu.Lock()
		i := slices.IndexFunc(e.all, func(v enrol.Event) bool { return v.Kind == kind && v.Subject == s })
		heard := e.heard
		var all []enrol.Event
		if i >= 0 {
			defer e.mu.Unlock()
			return e.all[i]
		}
		all = slices.Clone(e.all)
		e.mu.Unlock()
		select {
		case <-heard:
		case <-deadline:
			t.Fatalf("no event %s of %s; there are %+v", kind, s, all)
		}
	}
}

func (e *events) set(change func(*events)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

func (e *events) count(kind enrol.EventKind) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.all {
		if v.Kind == kind {
			n++
		}
	}
	return n
}

func newHub(t testing.TB, url string, change func(*enrol.Config)) *hub {
	t.Helper()
	return newHubWith(t, url, nil, change)
}

// newHubWith has another CA than the embedded one sign; nil: that.
func newHubWith(t testing.TB, url string, other enrol.Issuer, change func(*enrol.Config)) *hub {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	h := &hub{t: t, url: url, folder: t.TempDir(), addr: l.Addr().String(), other: other, events: &events{heard: make(chan struct{})}}
	release, _ := must2(ed25519.GenerateKey(rand.Reader))
	_, stored := must2(note.GenerateKey(rand.Reader, "tapward-hub/"+site+"/stored"))
	h.config = enrol.Config{
		Site: site, Release: release, Stored: stored, Brokers: []string{"tls://127.0.0.1:4222"}, URL: "https://" + h.addr,
		Walkins: true, Ask: 50 * time.Millisecond,
	}
	if change != nil {
		change(&h.config)
	}
	h.start(l)
	t.Cleanup(func() { h.stop() })
	return h
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

func (h *hub) start(l net.Listener) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(&h.log, nil))
	h.ca = must(embedded.Open(filepath.Join(h.folder, "ca"), site))
	h.db = must(database.Open(ctx, h.url))
	h.Registrar = must(enrol.New(h.db, h.issuer(), h.config, enrol.Told{Record: h.events.record, Cut: h.events.cutOff}, log))
	own := must(enrol.NewServerCertificate(ctx, h.issuer(), []string{"127.0.0.1", "localhost"}, time.Hour, log))
	var running sync.WaitGroup
	for _, run := range []func() error{
		func() error { return h.Run(ctx) },
		func() error { return own.Run(ctx) },
		func() error { return h.Serve(ctx, l, own.Get) },
	} {
		running.Go(func() {
			if err := run(); err != nil {
				h.t.Errorf("the hub ended: %v", err)
			}
		})
	}
	h.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := h.db.Close(); err != nil {
			h.t.Errorf("close the database: %v", err)
		}
	})
}

func (h *hub) issuer() enrol.Issuer {
	if h.other != nil {
		return h.other
	}
	return h.ca
}

// restart ends the hub and starts another on the same database, key and port.
func (h *hub) restart(change func(*enrol.Config)) {
	h.t.Helper()
	h.stop()
	if change != nil {
		change(&h.config)
	}
	h.start(must(net.Listen("tcp", h.addr)))
}

// applicant is a box with keys of its own that wants to join this hub.
func (h *hub) applicant(id string) box.Applicant {
	secret, public := must2(audit.NewKey(rand.Reader, gateway.BoxID(id)))
	return box.Applicant{
		Subject: boxNamed(id), Ward: "icu", Hub: h.config.URL, Pin: gateway.FingerprintOf(h.issuer().Roots()[0].RawSubjectPublicKeyInfo),
		Link: must(link.NewIdentity(id)).Fingerprint(), Log: must(note.NewSigner(secret)), LogKey: public,
	}
}

// joining is a box that asks, in the background.
type joining struct {
	t      testing.TB
	codes  chan claim.Code
	done   chan struct{}
	result *box.Enrolment
	err    error
}

func join(t testing.TB, folder string, a box.Applicant) *joining {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	j := &joining{t: t, codes: make(chan claim.Code, 100), done: make(chan struct{})}
	go func() {
		defer close(j.done)
		j.result, j.err = box.Join(ctx, folder, a, func(p box.Progress) {
			if p.Trouble == "" {
				j.codes <- p.Code
			}
		}, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() { cancel(); <-j.done })
	return j
}

func (j *joining) code() claim.Code {
	j.t.Helper()
	select {
	case c := <-j.codes:
		return c
	case <-j.done:
		j.t.Fatalf("the box ended without a code: %v", j.err)
	case <-time.After(20 * time.Second):
		j.t.Fatal("the box shows no code")
	}
	return ""
}

func (j *joining) end() (*box.Enrolment, error) {
	j.t.Helper()
	select {
	case <-j.done:
	case <-time.After(30 * time.Second):
		j.t.Fatal("the box does not come to an end")
	}
	return j.result, j.err
}

// pending is the only claim that waits in the name of a box.
func (h *hub) pending(s claim.Subject) enrol.Pending {
	h.t.Helper()
	var found []enrol.Pending
	for _, p := range must(h.Pending(h.t.Context())) {
		if p.Subject == s {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		h.t.Fatalf("%d claims of %s wait, not one", len(found), s)
	}
	return found[0]
}

// enrolled lets a box join, with a person who compares.
func (h *hub) enrolled(id string) (*box.Enrolment, box.Applicant, string) {
	h.t.Helper()
	a, folder := h.applicant(id), h.t.TempDir()
	j := join(h.t, folder, a)
	code := j.code()
	if err := h.Confirm(h.t.Context(), h.pending(a.Subject).Claim, code, "nurse Ines"); err != nil {
		h.t.Fatal(err)
	}
	e, err := j.end()
	if err != nil {
		h.t.Fatal(err)
	}
	return e, a, folder
}

func wantRefusal(t testing.TB, err error, want gateway.Reason) {
	t.Helper()
	refusal := (*claim.Refusal)(nil)
	if !errors.As(err, &refusal) || refusal.Reason != want || refusal.Words == "" {
		t.Errorf("want the refusal %s, have %v", want, err)
	}
}

func mode(t testing.TB, path string) os.FileMode {
	t.Helper()
	return must(os.Stat(path)).Mode().Perm()
}

func newLogKey(id string) (secret, public string, err error) {
	return audit.NewKey(rand.Reader, gateway.BoxID(id))
}

var discard = slog.New(slog.DiscardHandler)

package enrol_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/sync/claim"
	box "tapward/sync/enrol"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/enrol"
	"tapward/sync/hub/enrol/embedded"
)

// short is a lifetime that has ended when the certificate is made: its beginning is dated back.
const short = -time.Minute

func run(t testing.TB, e *box.Enrolment) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestExpiredCertificateRenews is a box that was cut off for longer than its certificate lasts: the broker refuses it, the
// renewal takes it, and says so.
func TestExpiredCertificateRenews(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		h := newHub(t, url, func(c *enrol.Config) { c.Lifetime = short })
		e, a, _ := h.enrolled("box-1")
		old := e.Certificate()
		if _, _, refused, err := h.Authorize(t.Context(), old.Leaf); refused != claim.Expired || err != nil {
			t.Errorf("the broker lets an expired certificate in: %q, %v", refused, err)
		}
		h.restart(func(c *enrol.Config) { c.Lifetime = time.Hour; c.Brokers = []string{"tls://127.0.0.1:4333"} })
		run(t, e)
		<-e.Changed()
		fresh := e.Certificate()
		if fresh.Leaf.Equal(old.Leaf) || time.Until(fresh.Leaf.NotAfter) < 50*time.Minute || e.Standing().Trouble != "" {
			t.Errorf("%s, %+v", fresh.Leaf.NotAfter, e.Standing())
		}
		if shown, err := e.GetClientCertificate(nil); err != nil || shown != fresh {
			t.Error("new connections show the old certificate")
		}
		if e.Trust().Hub.Brokers[0] != "tls://127.0.0.1:4333" {
			t.Errorf("the box does not know where the broker is now: %v", e.Trust().Hub.Brokers)
		}
		if _, _, refused, err := h.Authorize(t.Context(), fresh.Leaf); refused != "" || err != nil {
			t.Errorf("%q, %v", refused, err)
		}
		if got := h.events.wait(t, enrol.RenewedLate, a.Subject); !strings.Contains(got.Words, "had expired") {
			t.Errorf("%+v", got)
		}
	})
}

func TestRevokedMayNotRenew(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		h := newHub(t, url, func(c *enrol.Config) { c.Lifetime = short })
		e, a, folder := h.enrolled("box-1")
		cert := e.Certificate()
		request := requestFor(a.Subject, newKey())
		if err := h.Revoke(t.Context(), a.Subject, "Ines", "stolen"); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, h.Revoke(t.Context(), a.Subject, "Ines", "again"), claim.NotListed)
		wantRefusal(t, h.Revoke(t.Context(), boxNamed("box-2"), "Ines", "who"), claim.NotListed)
		if got := h.events.wait(t, enrol.Revoked, a.Subject); got.Person != "Ines" || got.Words != "stolen" {
			t.Errorf("%+v", got)
		}
		h.events.mu.Lock()
		if cut := slices.Compact(slices.Clone(h.events.cut)); len(h.events.cut) != 2 || len(cut) != 1 || cut[0] != a.Subject {
			t.Errorf("cut off: %v", h.events.cut)
		}
		h.events.mu.Unlock()
		_, err := newWire(t, h, "box-1", cert).renew(request)
		wantRefusal(t, err, claim.Revoked)
		h.events.wait(t, enrol.RenewRefused, a.Subject)
		if _, _, refused, _ := h.Authorize(t.Context(), cert.Leaf); refused != claim.Revoked {
			t.Errorf("the broker says %q", refused)
		}

		if err := h.Reinstate(t.Context(), a.Subject, "Ines", "it was under the bed"); err != nil {
			t.Fatal(err)
		}
		h.restart(func(c *enrol.Config) { c.Lifetime = time.Hour })
		back := must(box.Load(folder, discard))
		run(t, back)
		<-back.Changed()
		if _, _, refused, _ := h.Authorize(t.Context(), back.Certificate().Leaf); refused != "" {
			t.Errorf("the broker says %q of a box that was reinstated", refused)
		}
	})
}

// TestLostAnswers renews again with the key whose renewal was answered into the void, but not with one before that.
func TestLostAnswers(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	e, a, _ := h.enrolled("box-1")
	first := e.Certificate()
	second := newKey()
	answer, err := newWire(t, h, "box-1", first).renew(requestFor(a.Subject, second))
	if err != nil {
		t.Fatal(err)
	}
	h.events.wait(t, enrol.Renewed, a.Subject)
	third := newKey()
	answer, err = newWire(t, h, "box-1", first).renew(requestFor(a.Subject, third))
	if err != nil {
		t.Fatal(err)
	}
	h.events.wait(t, enrol.RenewedBehind, a.Subject)
	thirdCert := &tls.Certificate{Certificate: answer.Chain, PrivateKey: third}
	if _, err := newWire(t, h, "box-1", thirdCert).renew(requestFor(a.Subject, third)); err != nil {
		t.Fatal(err)
	}
	_, err = newWire(t, h, "box-1", first).renew(requestFor(a.Subject, newKey()))
	wantRefusal(t, err, claim.NotListed)
	_, err = newWire(t, h, "box-1", thirdCert).renew(requestFor(boxNamed("box-2"), third))
	wantRefusal(t, err, claim.BadRequest)
	_, err = newWire(t, h, "box-1", thirdCert).renew(requestFor(a.Subject, second))
	if err != nil {
		t.Errorf("a key that was made and never used: %v", err)
	}
}

// TestWhoMayNotRenew shows certificates that are not of this CA, not of a member, or none.
func TestWhoMayNotRenew(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	e, a, _ := h.enrolled("box-1")
	other := must(embedded.Open(filepath.Join(t.TempDir(), "ca"), site))
	signed := func(ca *embedded.CA, s claim.Subject, use enrol.Use) *tls.Certificate {
		key := newKey()
		chain := must(ca.Sign(t.Context(), must(x509.ParseCertificateRequest(requestFor(s, key))), use, time.Hour))
		return &tls.Certificate{Certificate: [][]byte{chain[0].Raw}, PrivateKey: key, Leaf: chain[0]}
	}
	for name, c := range map[string]struct {
		shown *tls.Certificate
		want  gateway.Reason
	}{
		"nothing":                {nil, claim.BadIdentity},
		"of another CA":          {signed(other, a.Subject, enrol.Client), claim.BadIdentity},
		"of a server":            {signed(h.ca, a.Subject, enrol.Server), claim.BadIdentity},
		"of nobody known":        {signed(h.ca, boxNamed("box-2"), enrol.Client), claim.NotListed},
		"of a key nobody showed": {signed(h.ca, a.Subject, enrol.Client), claim.NotListed},
	} {
		w := newWire(t, h, "box-1", c.shown)
		if _, err := w.renew(requestFor(a.Subject, w.key)); claim.RefusalOf(err) != c.want {
			t.Errorf("%s: want %s, have %v", name, c.want, err)
		}
		if c.shown == nil {
			continue
		}
		if _, _, refused, err := h.Authorize(t.Context(), c.shown.Leaf); refused == "" || err != nil {
			t.Errorf("%s: the broker lets it in, %v", name, err)
		}
	}
	if _, _, refused, err := h.Authorize(t.Context(), e.Certificate().Leaf); refused != "" || err != nil {
		t.Errorf("%q, %v", refused, err)
	}
	// The box's own key in a certificate of another CA is not the box's certificate.
	key := e.Certificate().PrivateKey
	req := must(x509.ParseCertificateRequest(requestOf(a.Subject, key)))
	forged := must(other.Sign(t.Context(), req, enrol.Client, time.Hour))[0]
	if _, _, refused, err := h.Authorize(t.Context(), forged); refused != claim.BadIdentity || err != nil {
		t.Errorf("%q, %v", refused, err)
	}
}

// TestHubThatChangedIsNotFollowed keeps a box with the keys that a person confirmed.
func TestHubThatChangedIsNotFollowed(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), func(c *enrol.Config) { c.Lifetime = short })
	_, _, folder := h.enrolled("box-1")
	warned := make(chan struct{}, 10)
	e := must(box.Load(folder, slog.New(warnings{slog.DiscardHandler, warned})))
	before := e.Certificate()
	h.restart(func(c *enrol.Config) { c.Lifetime = time.Hour; c.Release = make([]byte, 32) })
	run(t, e)
	select {
	case <-e.Changed():
		t.Fatal("the box took another release key")
	case <-warned:
	}
	if e.Certificate() != before || !strings.Contains(e.Standing().Trouble, "claimed anew") {
		t.Errorf("%+v", e.Standing())
	}
}

// warnings tells when something was logged as a warning.
type warnings struct {
	slog.Handler
	heard chan struct{}
}

func (warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (w warnings) Handle(context.Context, slog.Record) error {
	w.heard <- struct{}{}
	return nil
}

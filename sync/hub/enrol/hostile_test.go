package enrol_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/sync/claim"
	box "tapward/sync/enrol"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/enrol"
	"tapward/sync/hub/enrol/embedded"
)

// TestSomebodyBetween has a relay with keys of its own play the hub to a box whose boot configuration was tampered with,
// and play the box to the hub. Everything goes well for it but the codes.
func TestSomebodyBetween(t *testing.T) {
	real := newHub(t, databasetest.SQLite(t), nil)
	relay := newHub(t, databasetest.SQLite(t), nil)
	victim := relay.applicant("box-7")
	mask := real.applicant("box-7")

	atBox := join(t, t.TempDir(), victim)
	seen := atBox.code()
	atHub := join(t, t.TempDir(), mask)
	forged := atHub.code()
	p := real.pending(mask.Subject)
	if p.Code != forged || seen == forged {
		t.Fatalf("the box shows %s, the relay %s, the hub %s", seen, forged, p.Code)
	}
	wantRefusal(t, real.Confirm(t.Context(), p.Claim, seen, "Ines"), claim.CodeDiffers)
	_, err := atHub.end()
	wantRefusal(t, err, claim.CodeDiffers)
	real.events.wait(t, enrol.WrongCode, mask.Subject)
	if len(must(real.Members(t.Context()))) != 0 {
		t.Error("the relay is on the allow list")
	}
}

// TestRelayIsNotTheHub puts a relay that passes everything on unchanged before the hub: to a box with the right pin, and
// to one that was told to trust the relay's CA.
func TestRelayIsNotTheHub(t *testing.T) {
	real := newHub(t, databasetest.SQLite(t), nil)
	own := must(embedded.Open(filepath.Join(t.TempDir(), "ca"), "relay"))
	cert := must(enrol.NewServerCertificate(t.Context(), own, []string{"127.0.0.1"}, time.Hour, slog.New(slog.DiscardHandler)))
	roots := x509.NewCertPool()
	roots.AddCert(real.ca.Roots()[0])
	proxy := httputil.NewSingleHostReverseProxy(must(url.Parse(real.config.URL)))
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	relay := &http.Server{Handler: proxy, TLSConfig: &tls.Config{GetCertificate: cert.Get},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	var serving sync.WaitGroup
	serving.Go(func() { relay.ServeTLS(l, "", "") })
	defer serving.Wait()
	defer relay.Close()

	a := real.applicant("box-7")
	a.Hub, a.Pin = "https://"+l.Addr().String(), own.Fingerprint()
	_, err := join(t, t.TempDir(), a).end()
	if err == nil || !strings.Contains(err.Error(), "another CA") {
		t.Errorf("the box that trusts the relay says %v", err)
	}

	a.Pin = real.ca.Fingerprint()
	ctx, cancel := context.WithCancel(t.Context())
	var trouble string
	_, err = box.Join(ctx, t.TempDir(), a, func(p box.Progress) { trouble = p.Trouble; cancel() }, slog.New(slog.DiscardHandler))
	if !errors.Is(err, context.Canceled) || !strings.Contains(trouble, "this is not the hospital's hub") {
		t.Errorf("the box with the right pin says %q, %v", trouble, err)
	}
	if len(must(real.Pending(t.Context()))) != 0 {
		t.Error("a claim waits at the hub")
	}
}

func TestTokenServesOnceForItsKeyAndName(t *testing.T) {
	engines.Each(t, func(t *testing.T, dbURL string) {
		h := newHub(t, dbURL, nil)
		w, other := newWire(t, h, "box-7", nil), newWire(t, h, "box-8", nil)
		stale, foreign := w.confirmed(), other.confirmed()
		token := w.token()
		good := requestFor(w.a.Subject, w.key)
		long := &x509.CertificateRequest{Subject: w.a.Subject.Name(), URIs: []*url.URL{w.a.Subject.URI()}, DNSNames: []string{"hub.example"}}
		broken := append([]byte{}, good...)
		broken[len(broken)-1] ^= 1
		for name, c := range map[string]struct {
			token   string
			request []byte
			want    gateway.Reason
		}{
			"an older token":         {stale, good, claim.BadToken},
			"another claim's token":  {foreign, good, claim.BadToken},
			"no token":               {"", good, claim.BadToken},
			"another key":            {token, requestFor(w.a.Subject, newKey()), claim.BadRequest},
			"another name":           {token, requestFor(boxNamed("box-9"), w.key), claim.BadRequest},
			"a name of a server too": {token, must(x509.CreateCertificateRequest(rand.Reader, long, w.key)), claim.BadRequest},
			"a broken signature":     {token, broken, claim.BadRequest},
			"no request":             {token, nil, claim.Malformed},
		} {
			if _, err := w.redeem(c.token, c.request); claim.RefusalOf(err) != c.want {
				t.Errorf("%s: want %s, have %v", name, c.want, err)
			}
		}
		var racers sync.WaitGroup
		got := make(chan error, 8)
		for range cap(got) {
			racers.Go(func() { _, err := w.redeem(token, good); got <- err })
		}
		racers.Wait()
		close(got)
		won := 0
		for err := range got {
			if err == nil {
				won++
			} else if claim.RefusalOf(err) == "" {
				t.Errorf("%v", err)
			}
		}
		if won != 1 {
			t.Errorf("the token served %d times", won)
		}
		_, err := w.redeem(token, good)
		wantRefusal(t, err, claim.BadToken)
		h.events.wait(t, enrol.TokenRefused, w.a.Subject)

		// The box that lost the answer asks for another token and gets the same certificate.
		first, err := w.redeem(w.token(), good)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := w.redeem(w.token(), good); err != nil || string(again.Chain[0]) != string(first.Chain[0]) {
			t.Errorf("%v", err)
		}
		if _, err := w.redeem(w.token(), requestFor(w.a.Subject, newKey())); claim.RefusalOf(err) != claim.BadRequest {
			t.Errorf("%v", err)
		}
		if n := h.events.count(enrol.Issued); n > 1 {
			t.Errorf("%d certificates were made", n)
		}
	})
}

func TestKeysMustBeTheCommittedOnes(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	for name, spoil := range map[string]func(*wire){
		"other keys":  func(w *wire) { w.keys.Link[0] ^= 1 },
		"other nonce": func(w *wire) { w.nonce[0] ^= 1 },
		"no proof":    func(w *wire) { w.a.Log = h.applicant(w.a.Subject.ID).Log },
	} {
		w := newWire(t, h, "box-7", nil)
		if err := w.open(); err != nil {
			t.Fatal(err)
		}
		spoil(w)
		if err := w.reveal(); claim.RefusalOf(err) != claim.BadKeys {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWire(t, h, "box-8", nil)
	if err := errors.Join(w.open(), w.reveal(), w.reveal()); err != nil {
		t.Errorf("the same again: %v", err)
	}
	w.keys.Link[0] ^= 1
	wantRefusal(t, w.reveal(), claim.BadKeys)
	if p := h.pending(w.a.Subject); p.Code == w.transcript().Code() {
		t.Error("the code changed afterwards")
	}
}

func TestExpectedBoxes(t *testing.T) {
	engines.Each(t, func(t *testing.T, dbURL string) {
		admin, key := must2(ed25519.GenerateKey(rand.Reader))
		_, stranger := must2(ed25519.GenerateKey(rand.Reader))
		h := newHub(t, dbURL, func(c *enrol.Config) { c.Admins = []ed25519.PublicKey{admin} })
		pinned := h.applicant("box-3")
		now := time.Now()
		list := claim.Expected{Site: site, Issued: now, Expires: now.Add(72 * time.Hour), Boxes: []claim.ExpectedBox{
			{Kind: claim.Box, ID: "box-1", Ward: "icu"}, {Kind: claim.Box, ID: "box-2", Ward: "er"},
			{Kind: claim.Box, ID: "box-3", Ward: "icu", Link: pinned.Link},
		}}
		if _, err := h.Expect(t.Context(), must(claim.SignExpected(list, stranger)), "Ines"); err == nil {
			t.Error("a list of a stranger was taken")
		}
		elsewhere := list
		elsewhere.Site = "st-otto"
		_, err := h.Expect(t.Context(), must(claim.SignExpected(elsewhere, key)), "Ines")
		wantRefusal(t, err, claim.WrongSite)
		over := list
		over.Issued, over.Expires = now.Add(-2*time.Hour), now.Add(-time.Hour)
		_, err = h.Expect(t.Context(), must(claim.SignExpected(over, key)), "Ines")
		wantRefusal(t, err, claim.Expired)
		if _, err := h.Expect(t.Context(), must(claim.SignExpected(list, key)), "Ines"); err != nil {
			t.Fatal(err)
		}
		h.events.wait(t, enrol.Announced, claim.Subject{})

		for id, want := range map[string]gateway.Reason{"box-9": claim.NotExpected, "box-2": claim.WrongWard, "box-3": claim.NotExpected} {
			_, err := join(t, t.TempDir(), h.applicant(id)).end()
			wantRefusal(t, err, want)
			h.events.wait(t, enrol.Turned, boxNamed(id))
		}
		side := map[claim.Code]string{}
		joins := []*joining{join(t, t.TempDir(), h.applicant("box-1")), join(t, t.TempDir(), pinned)}
		for i, id := range []string{"box-1", "box-3"} {
			side[joins[i].code()] = id
		}
		pending := must(h.Pending(t.Context()))
		if len(pending) != 2 {
			t.Fatalf("%+v", pending)
		}
		for _, p := range pending {
			if side[p.Code] != p.Subject.ID || !p.Listed || time.Until(p.Ends) < 71*time.Hour {
				t.Errorf("%+v", p)
			}
			if err := h.Confirm(t.Context(), p.Claim, p.Code, "Ines"); err != nil {
				t.Error(err)
			}
		}
		for _, j := range joins {
			if _, err := j.end(); err != nil {
				t.Error(err)
			}
		}

		// When the list is over, and boxes may not come unannounced, the box is told so.
		if _, err := h.db.Exec(`UPDATE enrol_expected SET expires = $1`, now.UnixNano()); err != nil {
			t.Fatal(err)
		}
		h.restart(func(c *enrol.Config) { c.Walkins = false })
		a := h.applicant("box-2")
		a.Ward = "er"
		_, err = join(t, t.TempDir(), a).end()
		wantRefusal(t, err, claim.NotExpected)
		if !strings.Contains(err.Error(), "ended on") {
			t.Errorf("%v", err)
		}
		_, err = join(t, t.TempDir(), h.applicant("box-9")).end()
		wantRefusal(t, err, claim.NotExpected)
	})
}

func TestOtherSite(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	a := h.applicant("box-1")
	a.Subject.Site = "st-otto"
	_, err := join(t, t.TempDir(), a).end()
	wantRefusal(t, err, claim.WrongSite)
}

func TestNobodyFillsTheHub(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	big := newWire(t, h, "box-1", nil)
	for _, path := range []string{claim.CommitPath, claim.RevealPath, claim.RedeemPath, claim.RenewPath} {
		big.id = "0"
		if _, err := big.post("POST", path, make([]byte, claim.MaxMessage+1)); claim.RefusalOf(err) != claim.Malformed {
			t.Errorf("%s: %v", path, err)
		}
	}
	refused := 0
	for i := range 150 {
		w := *big
		w.a.Subject = boxNamed(fmt.Sprintf("box-f%d", i))
		if claim.RefusalOf(w.open()) == claim.TooMany {
			refused++
		}
	}
	if refused == 0 {
		t.Error("one address may ask as often as it wants")
	}
}

// TestFewTriesInOneName is whoever stands between and leaves off each claim whose code is not the box's: by silence, or
// by showing other keys than it committed to. Time alone gives it further tries.
func TestFewTriesInOneName(t *testing.T) {
	engines.Each(t, func(t *testing.T, dbURL string) {
		h := newHub(t, dbURL, nil)
		tries := 0
		for {
			w := newWire(t, h, "box-1", nil)
			err := w.open()
			if claim.RefusalOf(err) == claim.TooMany {
				break
			}
			if tries++; err != nil || tries > 16 {
				t.Fatalf("try %d: %v", tries, err)
			}
			if tries%2 == 0 {
				w.keys.Link[0] ^= 1
				wantRefusal(t, w.reveal(), claim.BadKeys)
			}
		}
		if tries != 16 {
			t.Errorf("%d tries", tries)
		}
		if _, err := h.db.Exec(`UPDATE enrol_claim SET began = began - $1`, time.Hour.Nanoseconds()); err != nil {
			t.Fatal(err)
		}
		if err := newWire(t, h, "box-1", nil).open(); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}

// TestServeEndsWithIdleConnections holds a connection that says nothing.
func TestServeEndsWithIdleConnections(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	c := must(net.Dial("tcp", h.addr))
	defer c.Close()
	h.stop()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the connection stands: %v", err)
	}
}

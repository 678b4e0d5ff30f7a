package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/sync/claim"
)

var box7 = claim.Subject{Kind: claim.Box, Site: "st-anna", ID: "box-7"}

// must is for what cannot fail with what these tests give it.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// authority is a CA of the tests.
type authority struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() authority {
	a := must(newAttempt(Applicant{Subject: box7, Ward: "icu"}))
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: day(0), NotAfter: day(3650),
		IsCA: true, BasicConstraintsValid: true}
	der := must(x509.CreateCertificate(rand.Reader, root, root, a.key.Public(), a.key))
	return authority{must(x509.ParseCertificate(der)), a.key}
}

// day is a day after the hospital's CA was made.
func day(n int) time.Time { return time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC) }

func (a authority) sign(c *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	c.SerialNumber = big.NewInt(2)
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, a.root, &key.PublicKey, a.key))))
}

// enrolment is a box's, from day 1 to day 8.
func (a authority) enrolment() *held {
	key := must(newAttempt(Applicant{Subject: box7, Ward: "icu"})).key
	c := a.sign(&x509.Certificate{Subject: box7.Name(), URIs: []*url.URL{box7.URI()}, NotBefore: day(1), NotAfter: day(8),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, key)
	return must(hold(Trust{box7, "icu", a.hub()}, [][]byte{c.Raw}, key))
}

func (a authority) hub() claim.Hub {
	release, _, err := ed25519.GenerateKey(rand.Reader)
	_, stored, err2 := note.GenerateKey(rand.Reader, "tapward-hub/st-anna/stored")
	if err := errors.Join(err, err2); err != nil {
		panic(err)
	}
	return claim.Hub{Site: "st-anna", CA: [][]byte{a.root.Raw}, Release: release, Stored: stored,
		Brokers: []string{"tls://hub.example:4222"}, Enrol: "https://hub.example:8444"}
}

var discard = slog.New(slog.DiscardHandler)

func TestEnrolmentIsKept(t *testing.T) {
	folder := t.TempDir()
	if _, err := Load(folder, discard); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("%v", err)
	}
	h := newAuthority().enrolment()
	if err := h.store(folder); err != nil {
		t.Fatal(err)
	}
	e, err := Load(folder, discard)
	if err != nil || !e.Certificate().Leaf.Equal(h.cert.Leaf) || e.Trust().Hub.Enrol != h.trust.Hub.Enrol || !e.Standing().Ends.Equal(day(8)) {
		t.Errorf("%v", err)
	}
	path := filepath.Join(folder, enrolmentFile)
	text := must(os.ReadFile(path))
	for name, spoil := range map[string]func() error{
		"may be read": func() error { return os.Chmod(path, 0o644) },
		"damaged":     func() error { return os.WriteFile(path, text[:len(text)/2], 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(folder, discard); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatDoesNotFitIsNotHeld(t *testing.T) {
	ca, other := newAuthority(), newAuthority()
	good := ca.enrolment()
	key := good.cert.PrivateKey.(*ecdsa.PrivateKey)
	foreign := other.enrolment()
	for name, try := range map[string]func() (*held, error){
		"of another key": func() (*held, error) {
			return hold(good.trust, good.cert.Certificate, foreign.cert.PrivateKey.(*ecdsa.PrivateKey))
		},
		"not of the hub's CA": func() (*held, error) {
			return hold(good.trust, foreign.cert.Certificate, foreign.cert.PrivateKey.(*ecdsa.PrivateKey))
		},
		"is not of": func() (*held, error) {
			t := good.trust
			t.Subject.ID = "box-8"
			return hold(t, good.cert.Certificate, key)
		},
		"cannot be read": func() (*held, error) { return hold(good.trust, nil, key) },
	} {
		if h, err := try(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, h, err)
		}
	}
}

// TestServersAreLookedAt has a clock that is right, one of a box that booted in 1970, and one long after.
func TestServersAreLookedAt(t *testing.T) {
	ca := newAuthority()
	key := must(newAttempt(Applicant{Subject: box7, Ward: "icu"})).key
	server := func(use x509.ExtKeyUsage) *x509.Certificate {
		return ca.sign(&x509.Certificate{DNSNames: []string{"hub.example"}, NotBefore: day(1), NotAfter: day(8), ExtKeyUsage: []x509.ExtKeyUsage{use}}, key)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.root)
	other := x509.NewCertPool()
	other.AddCert(newAuthority().root)
	for name, c := range map[string]struct {
		now   time.Time
		host  string
		roots *x509.CertPool
		use   x509.ExtKeyUsage
		ok    bool
	}{
		"today":          {day(2), "hub.example", roots, x509.ExtKeyUsageServerAuth, true},
		"1970":           {time.Unix(0, 0), "hub.example", roots, x509.ExtKeyUsageServerAuth, true},
		"expired":        {day(9), "hub.example", roots, x509.ExtKeyUsageServerAuth, false},
		"another host":   {day(2), "hub2.example", roots, x509.ExtKeyUsageServerAuth, false},
		"another CA":     {day(2), "hub.example", other, x509.ExtKeyUsageServerAuth, false},
		"a box as a hub": {day(2), "hub.example", roots, x509.ExtKeyUsageClientAuth, false},
	} {
		err := verifyServer(tls.ConnectionState{PeerCertificates: []*x509.Certificate{server(c.use), ca.root}}, c.host, c.roots, c.now)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if verifyServer(tls.ConnectionState{}, "hub.example", roots, day(2)) == nil {
		t.Error("no certificate is good enough")
	}
}

func TestWhenToRenew(t *testing.T) {
	e := newEnrolment(t.TempDir(), newAuthority().enrolment(), discard)
	for name, c := range map[string]struct {
		now         time.Time
		least, most time.Duration
	}{
		"new":                 {day(1), 75 * time.Hour, 84 * time.Hour}, // half of a week, less up to a tenth
		"past half":           {day(6), 0, 0},
		"expired":             {day(60), 0, 0},
		"the clock is behind": {time.Unix(0, 0), 0, 0},
	} {
		if due := e.due(c.now); due < c.least || due > c.most {
			t.Errorf("%s: due after %s", name, due)
		}
	}
}

// TestRenewsUntilItWorks fails for a day: the pauses grow to an hour, and after a success it rests until the next time.
func TestRenewsUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		var tries []time.Duration
		done := make(chan error, 1)
		go func() {
			done <- keepNew(ctx, time.Hour, func() (time.Duration, error) {
				tries = append(tries, time.Since(start))
				if time.Since(start) < 24*time.Hour {
					return 0, errors.New("the hub is away")
				}
				return 80 * time.Hour, nil
			})
		}()
		synctest.Wait()
		time.Sleep(150 * time.Hour) // of the bubble
		synctest.Wait()
		if tries[0] != time.Hour || len(tries) < 24 || len(tries) > 70 {
			t.Errorf("it tried %d times: %v", len(tries), tries)
		}
		last := tries[len(tries)-1]
		if before := tries[len(tries)-2]; last-before != 80*time.Hour || before < 24*time.Hour || before > 25*time.Hour {
			t.Errorf("after the success at %s it came back at %s", before, last)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestAttemptIsOfOneApplicant resumes only what fits the one that asks now.
func TestAttemptIsOfOneApplicant(t *testing.T) {
	who := Applicant{Subject: box7, Ward: "icu", Hub: "https://hub.example:8444", Pin: gateway.Fingerprint{1}, Link: gateway.Fingerprint{2}, LogKey: "log"}
	folder := t.TempDir()
	if err := writeFile(folder, claimFile, must(newAttempt(who))); err != nil {
		t.Fatal(err)
	}
	var kept attempt
	if err := readFile(folder, claimFile, &kept); err != nil {
		t.Fatal(err)
	}
	if err := kept.open(who); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Applicant){
		"box":  func(a *Applicant) { a.Subject.ID = "box-8" },
		"ward": func(a *Applicant) { a.Ward = "er" },
		"hub":  func(a *Applicant) { a.Hub = "https://other.example:1" },
		"pin":  func(a *Applicant) { a.Pin[0]++ },
		"link": func(a *Applicant) { a.Link[0]++ },
		"log":  func(a *Applicant) { a.LogKey = "other" },
	} {
		other := who
		change(&other)
		if kept.open(other) == nil {
			t.Errorf("%s: another applicant goes on with it", name)
		}
	}
	kept.Key = []byte("x")
	if kept.open(who) == nil {
		t.Error("a damaged key was taken")
	}
}

// TestKeysDoNotPrint formats what holds private keys.
func TestKeysDoNotPrint(t *testing.T) {
	h := newAuthority().enrolment()
	e := newEnrolment(t.TempDir(), h, discard)
	d := new(big.Int).SetBytes(must(h.cert.PrivateKey.(*ecdsa.PrivateKey).Bytes())).String()
	for _, text := range []string{fmt.Sprintf("%v", e), fmt.Sprintf("%+v", e.Trust()), fmt.Sprintf("%v", e.Standing())} {
		if strings.Contains(text, d) {
			t.Errorf("a key prints: %.40s…", text)
		}
	}
}

// FuzzEnrolmentFile reads any file: an error at worst.
func FuzzEnrolmentFile(f *testing.F) {
	folder := f.TempDir()
	if err := newAuthority().enrolment().store(folder); err != nil {
		f.Fatal(err)
	}
	f.Add(must(os.ReadFile(filepath.Join(folder, enrolmentFile))))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, enrolmentFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if e, err := Load(folder, discard); err == nil && e.Certificate().Leaf == nil {
			t.Error("an enrolment without a certificate")
		}
	})
}

package claim

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
)

var box7 = Subject{Kind: Box, Site: "st-anna", ID: "box-7"}

// newcomer is a subject's keys with the secret of its log key.
type newcomer struct {
	keys Keys
	log  note.Signer
}

func newNewcomer(t testing.TB, s Subject) newcomer {
	t.Helper()
	n := newcomer{keys: Keys{TLS: spki(t), Link: gateway.FingerprintOf(spki(t))}}
	if s.Kind == Phone {
		return n
	}
	secret, public, err := audit.NewKey(rand.Reader, gateway.BoxID(s.ID))
	if err != nil {
		t.Fatal(err)
	}
	n.keys.Log = public
	if n.log, err = note.NewSigner(secret); err != nil {
		t.Fatal(err)
	}
	return n
}

func spki(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newHub(t testing.TB) Hub {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	release, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, stored, err := note.GenerateKey(rand.Reader, "tapward-hub/st-anna/stored")
	if err != nil {
		t.Fatal(err)
	}
	return Hub{Site: "st-anna", CA: [][]byte{der}, Release: release, Stored: stored,
		Brokers: []string{"tls://hub.example:4222"}, Enrol: "https://hub.example:8444"}
}

func TestCodeDependsOnEverything(t *testing.T) {
	base := func() Transcript {
		return Transcript{Commit: []byte("commit"), Offer: []byte("offer"), Nonce: []byte("nonce"),
			Keys: Keys{TLS: []byte("tls"), Link: gateway.Fingerprint{1}, Log: "log"}}
	}
	if first, again := base().Code(), base().Code(); first != again {
		t.Fatal("the same transcript has two codes")
	}
	for name, change := range map[string]func(*Transcript){
		"commit":          func(t *Transcript) { t.Commit = []byte("Commit") },
		"offer":           func(t *Transcript) { t.Offer = []byte("offer ") },
		"nonce":           func(t *Transcript) { t.Nonce = []byte("nonc3") },
		"tls":             func(t *Transcript) { t.Keys.TLS = []byte("tlz") },
		"link":            func(t *Transcript) { t.Keys.Link[31] = 1 },
		"log":             func(t *Transcript) { t.Keys.Log = "lok" },
		"moved one byte":  func(t *Transcript) { t.Commit, t.Offer = []byte("commito"), []byte("ffer") },
		"moved into keys": func(t *Transcript) { t.Nonce, t.Keys.TLS = []byte("noncetl"), []byte("s") },
	} {
		changed := base()
		change(&changed)
		if changed.digest("code") == base().digest("code") || changed.Code() == base().Code() {
			t.Errorf("%s: another transcript has the same code", name)
		}
	}
}

// TestCodeVector holds the derivation for ever: a box and a hub of different releases must agree.
func TestCodeVector(t *testing.T) {
	v := Transcript{Commit: []byte("commit"), Offer: []byte("offer"), Nonce: []byte("nonce"),
		Keys: Keys{TLS: []byte("tls"), Link: gateway.Fingerprint{1}, Log: "log"}}
	if got, want := v.Code().String(), "9516 2725"; got != want {
		t.Errorf("code %q, want %q", got, want)
	}
}

func TestCodesAsPeopleTypeThem(t *testing.T) {
	for _, text := range []string{"01234567", "0123 4567", " 0123-4567 "} {
		if c, err := ParseCode(text); err != nil || c != "01234567" {
			t.Errorf("%q: %q, %v", text, c, err)
		}
	}
	for _, text := range []string{"", "1234567", "123456789", "0123 456a", "٠١٢٣٤٥٦٧"} {
		if c, err := ParseCode(text); err == nil {
			t.Errorf("%q was read as %q", text, c)
		}
	}
}

func TestKeysOfAnother(t *testing.T) {
	good, phone := newNewcomer(t, box7), newNewcomer(t, Subject{Phone, "st-anna", "phone-1"})
	if err := good.keys.Valid(box7); err != nil {
		t.Fatal(err)
	}
	if err := phone.keys.Valid(Subject{Phone, "st-anna", "phone-1"}); err != nil {
		t.Fatal(err)
	}
	other := newNewcomer(t, Subject{Box, "st-anna", "box-8"})
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrongCurve, err := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for words, k := range map[string]Keys{
		"log key is of":     {good.keys.TLS, good.keys.Link, other.keys.Log},
		"log key cannot":    {good.keys.TLS, good.keys.Link, "x"},
		"not a P-256":       {wrongCurve, good.keys.Link, good.keys.Log},
		"TLS key cannot":    {[]byte("x"), good.keys.Link, good.keys.Log},
		"link key is miss":  {good.keys.TLS, gateway.Fingerprint{}, good.keys.Log},
		"each must be its ": {good.keys.TLS, good.keys.Fingerprint(), good.keys.Log},
	} {
		if err := k.Valid(box7); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("want %q, have %v", words, err)
		}
	}
	if err := good.keys.Valid(Subject{Phone, "st-anna", "box-7"}); err == nil {
		t.Error("a phone may have a log key")
	}
}

func TestProofIsOfThisClaimOnly(t *testing.T) {
	n := newNewcomer(t, box7)
	this := Transcript{Commit: []byte("c"), Offer: []byte("o"), Nonce: []byte("n"), Keys: n.keys}
	other := this
	other.Offer = []byte("another hub's")
	proof, err := this.SignProof(n.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := this.CheckProof(proof); err != nil {
		t.Error(err)
	}
	if err := other.CheckProof(proof); err == nil {
		t.Error("the proof of one claim serves for another")
	}
	verifier, err := note.NewVerifier(n.keys.Log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.OpenCheckpoint(proof, verifier); err == nil {
		t.Error("a proof can be taken for a checkpoint of the log")
	}
	checkpoint, err := audit.SignCheckpoint("box-7", audit.Head{Epoch: 1}, n.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := this.CheckProof(checkpoint); err == nil {
		t.Error("a checkpoint of the log can be taken for a proof")
	}
}

func TestSubjectInCertificates(t *testing.T) {
	for _, s := range []Subject{box7, {Phone, "St_Anna-2", "p"}} {
		if got, err := ParseURI(s.URI().String()); err != nil || got != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, text := range []string{"", "spiffe://st-anna/box", "spiffe://st-anna/box/a/b", "spiffe://st-anna/door/a", "https://st-anna/box/a",
		"spiffe://st-anna/box/a?b", "spiffe://u@st-anna/box/a", "spiffe://st-anna/box/%61", "spiffe:///box/a", "spiffe://st-anna:1/box/a"} {
		if s, err := ParseURI(text); err == nil {
			t.Errorf("%q was read as %s", text, s)
		}
	}
	for name, c := range map[string]*x509.Certificate{
		"another name":      {Subject: Subject{Box, "st-anna", "box-8"}.Name()},
		"another site":      {Subject: Subject{Box, "st-otto", "box-7"}.Name()},
		"a DNS name too":    {Subject: box7.Name(), DNSNames: []string{"hub.example"}},
		"a mail address":    {Subject: box7.Name(), EmailAddresses: []string{"a@example"}},
		"no organisation":   {Subject: pkix.Name{CommonName: "box-7"}},
		"two organisations": {Subject: pkix.Name{CommonName: "box-7", Organization: []string{"st-anna", "st-otto"}}},
	} {
		c.URIs = append(c.URIs, box7.URI())
		if s, err := CertificateSubject(c); err == nil {
			t.Errorf("%s: read as %s", name, s)
		}
	}
}

func TestHubMayMoveButNotChange(t *testing.T) {
	h := newHub(t)
	moved := h
	moved.Brokers, moved.Enrol = []string{"tls://other.example:4222"}, "https://other.example:8444"
	if got, err := h.Moved(moved); err != nil || got.Enrol != moved.Enrol {
		t.Errorf("%v, %v", got, err)
	}
	for name, change := range map[string]func(*Hub){
		"site":    func(h *Hub) { h.Site = "st-otto" },
		"release": func(h *Hub) { h.Release = make([]byte, 32) },
		"stored":  func(h *Hub) { h.Stored = newHub(t).Stored },
		"CA":      func(h *Hub) { h.CA = newHub(t).CA },
	} {
		changed := h
		change(&changed)
		if got, err := h.Moved(changed); err == nil || got.Site != h.Site {
			t.Errorf("%s was changed by a renewal", name)
		}
	}
}

func TestExpectedLists(t *testing.T) {
	admin, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	list := Expected{"st-anna", now, now.Add(72 * time.Hour), []ExpectedBox{{Kind: Box, ID: "box-7", Ward: "icu"}, {Kind: Phone, ID: "box-7", Ward: "icu"}}}
	signed, err := SignExpected(list, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenExpected(signed, []ed25519.PublicKey{stranger, admin})
	if err != nil || len(got.Boxes) != 2 || !got.Expires.Equal(list.Expires) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := OpenExpected(signed, []ed25519.PublicKey{stranger}); err == nil {
		t.Error("a stranger's signature was taken")
	}
	if _, err := OpenExpected(signed, nil); err == nil {
		t.Error("a list was taken although nobody may sign one")
	}
	for name, bad := range map[string]Expected{
		"twice":    {"st-anna", now, now.Add(time.Hour), []ExpectedBox{{Kind: Box, ID: "a", Ward: "w"}, {Kind: Box, ID: "a", Ward: "w"}}},
		"backward": {"st-anna", now, now, list.Boxes},
		"too long": {"st-anna", now, now.Add(MaxExpectedTime + 1), list.Boxes},
		"empty":    {"st-anna", now, now.Add(time.Hour), nil},
		"no ward":  {"st-anna", now, now.Add(time.Hour), []ExpectedBox{{Kind: Box, ID: "a"}}},
	} {
		if _, err := SignExpected(bad, key); err == nil {
			t.Errorf("%s: was signed", name)
		}
	}
}

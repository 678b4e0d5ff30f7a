package enrol_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	box "tapward/sync/enrol"

	"tapward/sync/claim"
)

// wire speaks the protocol by hand, so that it can speak it wrongly.
type wire struct {
	t      testing.TB
	h      *hub
	a      box.Applicant
	key    *ecdsa.PrivateKey
	client *http.Client

	keys   claim.Keys
	nonce  []byte
	commit []byte
	offer  []byte
	id     string
}

func newWire(t testing.TB, h *hub, id string, shown *tls.Certificate) *wire {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(h.issuer().Roots()[0])
	config := &tls.Config{RootCAs: roots}
	if shown != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	w := &wire{t: t, h: h, a: h.applicant(id), key: newKey(), client: &http.Client{Transport: transport}, nonce: make([]byte, claim.NonceSize)}
	rand.Read(w.nonce)
	w.keys = claim.Keys{TLS: must(x509.MarshalPKIXPublicKey(&w.key.PublicKey)), Link: w.a.Link, Log: w.a.LogKey}
	return w
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func requestFor(s claim.Subject, key *ecdsa.PrivateKey) []byte { return requestOf(s, key) }

func requestOf(s claim.Subject, key any) []byte {
	return must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: s.Name(), URIs: []*url.URL{s.URI()}}, key))
}

// post sends bytes and gives the answer, or the refusal.
func (w *wire) post(method, path string, body []byte) ([]byte, error) {
	q := must(http.NewRequest(method, w.h.config.URL+strings.Replace(path, "{id}", w.id, 1), bytes.NewReader(body)))
	answer, err := w.client.Do(q)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text := must(io.ReadAll(answer.Body))
	if answer.StatusCode != http.StatusOK {
		refusal, err := claim.ParseRefusal(text)
		if err != nil {
			return nil, errors.New(string(text))
		}
		return nil, refusal
	}
	return text, nil
}

func (w *wire) open() error {
	c := claim.Commitment(w.nonce, w.keys)
	w.commit = must(claim.Encode(claim.Commit{Subject: w.a.Subject, Ward: w.a.Ward, Commitment: c[:]}))
	var err error
	if w.offer, err = w.post("POST", claim.CommitPath, w.commit); err == nil {
		w.id = must(claim.Parse[claim.Offer](w.offer)).Claim
	}
	return err
}

func (w *wire) transcript() claim.Transcript {
	return claim.Transcript{Commit: w.commit, Offer: w.offer, Nonce: w.nonce, Keys: w.keys}
}

func (w *wire) reveal() error {
	m := claim.Reveal{Nonce: w.nonce, Keys: w.keys, Proof: must(w.transcript().SignProof(w.a.Log))}
	_, err := w.post("POST", claim.RevealPath, must(claim.Encode(m)))
	return err
}

// confirmed takes a claim to where a person has confirmed it, and gives the token.
func (w *wire) confirmed() string {
	w.t.Helper()
	for _, err := range []error{w.open(), w.reveal(), w.h.Confirm(w.t.Context(), w.id, w.transcript().Code(), "Ines")} {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return w.token()
}

func (w *wire) token() string {
	w.t.Helper()
	text, err := w.post("GET", claim.AnswerPath, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return must(claim.Parse[claim.Answer](text)).Token
}

func (w *wire) redeem(token string, request []byte) (claim.Issued, error) {
	text, err := w.post("POST", claim.RedeemPath, must(claim.Encode(claim.Redeem{Token: token, Request: request})))
	if err != nil {
		return claim.Issued{}, err
	}
	return claim.Parse[claim.Issued](text)
}

func (w *wire) renew(request []byte) (claim.Issued, error) {
	text, err := w.post("POST", claim.RenewPath, must(json.Marshal(claim.Redeem{Request: request})))
	if err != nil {
		return claim.Issued{}, err
	}
	return claim.Parse[claim.Issued](text)
}

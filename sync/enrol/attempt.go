package enrol

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net/url"

	"tapward/gateway"
	"tapward/sync/claim"
)

// attempt is one claim as the file keeps it, so that the same code is shown after a crash.
type attempt struct {
	Key    []byte              `json:"key"` // PKCS #8
	Nonce  []byte              `json:"nonce"`
	Commit []byte              `json:"commit"`          // as sent
	Offer  []byte              `json:"offer,omitempty"` // as received; empty: not yet
	Hub    string              `json:"hub"`             // whom it was sent to
	Pin    gateway.Fingerprint `json:"pin"`

	key   *ecdsa.PrivateKey
	claim string
	offer claim.Offer
}

func newAttempt(who Applicant) (attempt, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return attempt{}, errors.New("make a TLS key")
	}
	a := attempt{Nonce: make([]byte, claim.NonceSize), Hub: who.Hub, Pin: who.Pin, key: key}
	rand.Read(a.Nonce)
	if a.Key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return attempt{}, errors.New("encode the TLS key")
	}
	a.Commit, err = a.commit(who)
	return a, err
}

func (a attempt) commit(who Applicant) ([]byte, error) {
	c := claim.Commitment(a.Nonce, claim.Keys{TLS: publicKey(a.key), Link: who.Link, Log: who.LogKey})
	return claim.Encode(claim.Commit{Subject: who.Subject, Ward: who.Ward, Commitment: c[:]})
}

// open reads what a file held; an attempt of another applicant or to another hub is of no use.
func (a *attempt) open(who Applicant) error {
	key, err := x509.ParsePKCS8PrivateKey(a.Key)
	private, ok := key.(*ecdsa.PrivateKey)
	if err != nil || !ok || len(a.Nonce) != claim.NonceSize {
		return errors.New("it is damaged")
	}
	a.key = private
	commit, err := a.commit(who)
	if err != nil {
		return err
	}
	if string(commit) != string(a.Commit) || a.Hub != who.Hub || a.Pin != who.Pin {
		return errors.New("it was of another box, ward, hub or key")
	}
	if len(a.Offer) == 0 {
		a.Offer = nil
		return nil
	}
	return a.take(a.Offer, who)
}

// take reads the hub's offer. The CA in it must be the one that the connection was pinned to: then whoever passes the
// offer on unchanged gains nothing.
func (a *attempt) take(raw []byte, who Applicant) error {
	o, err := claim.Parse[claim.Offer](raw)
	if err != nil {
		return &unfit{err.Error()}
	}
	if !o.Hub.Pinned(who.Pin) {
		return &unfit{"the hub offers another CA than the one that this box was told to trust"}
	}
	if o.Hub.Site != who.Subject.Site {
		return &unfit{"the hub is of another site"}
	}
	a.Offer, a.offer, a.claim = raw, o, o.Claim
	return nil
}

func (a attempt) transcript(k claim.Keys) claim.Transcript {
	return claim.Transcript{Commit: a.Commit, Offer: a.Offer, Nonce: a.Nonce, Keys: k}
}

// publicKey is a P-256 key's SubjectPublicKeyInfo.
func publicKey(key *ecdsa.PrivateKey) []byte {
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err) // a P-256 key always encodes
	}
	return spki
}

// newRequest asks for a certificate of key.
func newRequest(s claim.Subject, key *ecdsa.PrivateKey) ([]byte, error) {
	request := &x509.CertificateRequest{Subject: s.Name(), URIs: []*url.URL{s.URI()}}
	return x509.CreateCertificateRequest(rand.Reader, request, key)
}

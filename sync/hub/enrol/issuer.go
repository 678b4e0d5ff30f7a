package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/sync/claim"
)

// Use is what a certificate serves for.
type Use string

const (
	Client Use = "client" // a box or phone that comes to the hub
	Server Use = "server" // the hub itself
)

// Issuer is the hospital's certificate authority. Its methods may be called at the same time.
type Issuer interface {
	// Roots are its root certificates, the pinned one first.
	Roots() []*x509.Certificate
	// Sign makes a certificate for what the request asks, with a validity of at most lifetime, and gives it with the
	// intermediates up to a root. The caller has checked the request.
	Sign(ctx context.Context, request *x509.CertificateRequest, use Use, lifetime time.Duration) ([]*x509.Certificate, error)
}

// issue has a certificate made for s and looks at what came: a CA in other hands may have its own mind.
func (r *Registrar) issue(ctx context.Context, s claim.Subject, request *x509.CertificateRequest) ([]*x509.Certificate, error) {
	chain, err := r.issuer.Sign(ctx, request, Client, r.config.Lifetime)
	if err != nil {
		return nil, fmt.Errorf("have a certificate made for %s: %w", s, err)
	}
	if err := r.check(chain, s, request); err != nil {
		return nil, fmt.Errorf("the certificate made for %s: %w", s, err)
	}
	return chain, nil
}

func (r *Registrar) check(chain []*x509.Certificate, s claim.Subject, request *x509.CertificateRequest) error {
	if len(chain) == 0 {
		return errors.New("there is none")
	}
	c := chain[0]
	if !slices.Equal(c.RawSubjectPublicKeyInfo, request.RawSubjectPublicKeyInfo) {
		return errors.New("it is of another key")
	}
	have, err := claim.CertificateSubject(c)
	if err != nil {
		return err
	}
	if have != s {
		return fmt.Errorf("it is made out to %s", have)
	}
	if c.NotAfter.Sub(c.NotBefore) > r.config.Lifetime+time.Hour {
		return fmt.Errorf("it is valid for %s, longer than asked for", c.NotAfter.Sub(c.NotBefore))
	}
	if slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		return errors.New("a server could use it too")
	}
	return r.verify(c, chain[1:], c.NotBefore)
}

// verify checks that the CA made c for clients, as of a moment.
func (r *Registrar) verify(c *x509.Certificate, between []*x509.Certificate, at time.Time) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, root := range r.issuer.Roots() {
		roots.AddCert(root)
	}
	for _, i := range between {
		intermediates.AddCert(i)
	}
	_, err := c.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// request reads and checks what a newcomer wants certified.
func request(der []byte, s claim.Subject) (*x509.CertificateRequest, gateway.Fingerprint, error) {
	req, err := x509.ParseCertificateRequest(der)
	if err != nil || req.CheckSignature() != nil {
		return nil, gateway.Fingerprint{}, claim.Refuse(claim.BadRequest, "the certificate request cannot be read, or its key did not sign it")
	}
	if have, err := claim.RequestSubject(req); err != nil || have != s {
		return nil, gateway.Fingerprint{}, claim.Refuse(claim.BadRequest, "the certificate request is not for %s", s)
	}
	if key, ok := req.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return nil, gateway.Fingerprint{}, claim.Refuse(claim.BadRequest, "the certificate request is not of a P-256 key")
	}
	return req, gateway.FingerprintOf(req.RawSubjectPublicKeyInfo), nil
}

func encodeChain(chain []*x509.Certificate) (der []byte) {
	for _, c := range chain {
		der = append(der, c.Raw...)
	}
	return der
}

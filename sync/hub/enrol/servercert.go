package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"
)

// ServerCertificate is the hub's own, for its HTTPS and its embedded broker: made by the same CA and renewed in time.
// Its key is made anew each time and never stored.
type ServerCertificate struct {
	issuer   Issuer
	names    []string
	lifetime time.Duration
	log      *slog.Logger
	current  atomic.Pointer[tls.Certificate]
}

// NewServerCertificate has the first certificate made. names are host names and addresses by which boxes reach the hub.
func NewServerCertificate(ctx context.Context, issuer Issuer, names []string, lifetime time.Duration, log *slog.Logger) (*ServerCertificate, error) {
	s := &ServerCertificate{issuer: issuer, names: names, lifetime: lifetime, log: log}
	if err := s.renew(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Get is for tls.Config.GetCertificate.
func (s *ServerCertificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.current.Load(), nil
}

const serverRetry = time.Minute

// Run renews at half life until ctx ends.
func (s *ServerCertificate) Run(ctx context.Context) error {
	for {
		leaf := s.current.Load().Leaf
		wait := max(time.Until(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore)/2)), serverRetry)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if err := s.renew(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("the hub's own certificate was not renewed", "until", leaf.NotAfter, "error", err)
		}
	}
}

func (s *ServerCertificate) renew(ctx context.Context) error {
	c, err := s.make(ctx)
	if err != nil {
		return fmt.Errorf("make the hub's own certificate: %w", err)
	}
	s.current.Store(c)
	return nil
}

func (s *ServerCertificate) make(ctx context.Context) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	request := &x509.CertificateRequest{Subject: pkix.Name{CommonName: s.names[0]}}
	for _, name := range s.names {
		if ip := net.ParseIP(name); ip != nil {
			request.IPAddresses = append(request.IPAddresses, ip)
		} else {
			request.DNSNames = append(request.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		return nil, err
	}
	if request, err = x509.ParseCertificateRequest(der); err != nil {
		return nil, err
	}
	chain, err := s.issuer.Sign(ctx, request, Server, s.lifetime)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	// The root goes along: a box that knows only its key's fingerprint finds it there.
	for _, part := range append(chain, s.issuer.Roots()[0]) {
		c.Certificate = append(c.Certificate, part.Raw)
	}
	return c, nil
}

package enrol

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"tapward/gateway"
)

// TLS is how this box connects to a server of the hub, HTTPS or broker, by host name or address.
func (e *Enrolment) TLS(host string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: host, GetClientCertificate: e.GetClientCertificate,
		InsecureSkipVerify: true, // VerifyConnection does it, with a clock that may be behind
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verifyServer(cs, host, e.current.Load().roots, time.Now())
		},
	}
}

// pinnedTLS is how a box connects that knows nothing of the hub but its CA's key.
func pinnedTLS(host string, pin gateway.Fingerprint) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: host,
		InsecureSkipVerify: true, // VerifyConnection does it, by the pin
		VerifyConnection: func(cs tls.ConnectionState) error {
			for _, c := range cs.PeerCertificates {
				if c.IsCA && gateway.FingerprintOf(c.RawSubjectPublicKeyInfo) == pin {
					roots := x509.NewCertPool()
					roots.AddCert(c)
					return verifyServer(cs, host, roots, time.Now())
				}
			}
			return errors.New("this is not the hospital's hub: its CA is not the one that this box was told to trust; compare the fingerprints")
		},
	}
}

// verifyServer checks a server's certificate. A box may boot in 1970: one that is not yet valid means that the clock is
// behind, and is taken as of its first moment. An expired one is refused.
func verifyServer(cs tls.ConnectionState, host string, roots *x509.CertPool, now time.Time) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the hub shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range cs.PeerCertificates {
		between.AddCert(c)
		if c.NotBefore.After(now) {
			now = c.NotBefore
		}
	}
	_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: host, CurrentTime: now})
	return err
}

package link

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"tapward/gateway"
)

// Known says whether a peer's key is pinned. It is called in the TLS handshake, from any goroutine.
type Known func(gateway.Fingerprint) bool

// UnknownKey is why a handshake was refused: the peer proved that it holds Key, and nobody pinned it.
type UnknownKey struct{ Key gateway.Fingerprint }

func (e *UnknownKey) Error() string { return "key " + e.Key.String() + " is not paired" }

// tlsConfig serves both ends: who dials does not matter to who is trusted. Names and dates of certificates are not
// looked at; the pinned key is. Session tickets are off, so that every link proves its keys anew and none has 0-RTT.
func tlsConfig(id Identity, known Known) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{id.certificate()},
		NextProtos:             []string{ALPN},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // no authority and no names: VerifyConnection checks the pinned key instead
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if state.NegotiatedProtocol != ALPN {
				return fmt.Errorf("peer does not speak %s", ALPN)
			}
			_, fingerprint, err := peerKey(state)
			if err != nil {
				return err
			}
			if !known(fingerprint) {
				return &UnknownKey{fingerprint}
			}
			return nil
		},
	}
}

// peerKey is the key that the peer's first certificate carries; TLS itself checks that the peer holds it.
func peerKey(state tls.ConnectionState) (*ecdsa.PublicKey, gateway.Fingerprint, error) {
	if len(state.PeerCertificates) == 0 {
		return nil, gateway.Fingerprint{}, errors.New("peer sent no certificate")
	}
	cert := state.PeerCertificates[0]
	key, err := pinnable(cert)
	if err != nil {
		return nil, gateway.Fingerprint{}, err
	}
	return key, gateway.FingerprintOf(cert.RawSubjectPublicKeyInfo), nil
}

// pinnable takes P-256 only, the one curve that phones' hardware key stores and ES256 share.
func pinnable(cert *x509.Certificate) (*ecdsa.PublicKey, error) {
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("certificate's key is not ECDSA P-256")
	}
	return key, nil
}

package claim

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/transparency-dev/formats/note"

	"tapward/gateway"
)

// Hub is what a newcomer is to trust and where it finds it.
type Hub struct {
	Site    string   `json:"site"`
	CA      [][]byte `json:"ca"`      // roots in DER that sign boxes' and the hub's certificates, the pinned one first
	Release []byte   `json:"release"` // Ed25519, of policies and revocations
	Stored  string   `json:"stored"`  // verifier key of the cosignature that means "stored"
	Brokers []string `json:"brokers"` // tls://host:port
	Enrol   string   `json:"enrol"`   // https://host:port, for renewals
}

// Limits of a Hub, so that messages stay small.
const (
	maxRoots   = 4
	maxBrokers = 16
)

// Valid says what is wrong with it.
func (h Hub) Valid() error {
	if !gateway.ValidLabel(h.Site) {
		return fmt.Errorf("site %q must be %s", h.Site, gateway.LabelRule)
	}
	if _, err := h.Roots(); err != nil {
		return err
	}
	if len(h.Release) != ed25519.PublicKeySize {
		return errors.New("the release key is not an Ed25519 key")
	}
	if _, err := note.NewVerifierForCosignatureV1(h.Stored); err != nil {
		return fmt.Errorf("the stored key: %w", err)
	}
	if len(h.Brokers) == 0 || len(h.Brokers) > maxBrokers {
		return fmt.Errorf("there must be 1 to %d brokers, not %d", maxBrokers, len(h.Brokers))
	}
	for _, b := range h.Brokers {
		if err := checkURL(b, "tls"); err != nil {
			return fmt.Errorf("broker %q: %w", b, err)
		}
	}
	if err := checkURL(h.Enrol, "https"); err != nil {
		return fmt.Errorf("enrolment at %q: %w", h.Enrol, err)
	}
	return nil
}

// Roots are the CA's certificates.
func (h Hub) Roots() ([]*x509.Certificate, error) {
	if len(h.CA) == 0 || len(h.CA) > maxRoots {
		return nil, fmt.Errorf("there must be 1 to %d CA certificates, not %d", maxRoots, len(h.CA))
	}
	var roots []*x509.Certificate
	for _, der := range h.CA {
		c, err := x509.ParseCertificate(der)
		if err != nil || !c.IsCA {
			return nil, errors.New("a CA certificate cannot be read or is not of a CA")
		}
		roots = append(roots, c)
	}
	return roots, nil
}

// Pinned says whether the first CA is the one whose key a box was told to trust at its first boot.
func (h Hub) Pinned(pin gateway.Fingerprint) bool {
	roots, err := h.Roots()
	return err == nil && gateway.FingerprintOf(roots[0].RawSubjectPublicKeyInfo) == pin
}

// Moved takes over from a renewal what may change without a new claim: where the hub is found, and the roots as long as
// the first one's key stays. The keys that sign releases and receipts may not.
func (h Hub) Moved(to Hub) (Hub, error) {
	if to.Site != h.Site || !slices.Equal(to.Release, h.Release) || to.Stored != h.Stored {
		return h, errors.New("the hub has another site, release key or stored key: the box must be claimed anew")
	}
	roots, err := h.Roots()
	if err != nil {
		return h, err
	}
	if !to.Pinned(gateway.FingerprintOf(roots[0].RawSubjectPublicKeyInfo)) {
		return h, errors.New("the hub has another CA: the box must be claimed anew")
	}
	return to, nil
}

func checkURL(text, scheme string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != scheme || u.Hostname() == "" || u.Port() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" {
		return fmt.Errorf("it must be of the form %s://host:port", scheme)
	}
	return nil
}

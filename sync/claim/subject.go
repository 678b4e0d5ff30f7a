package claim

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"tapward/gateway"
)

// Kind is what asks to be enrolled.
type Kind string

const (
	Box   Kind = "box"
	Phone Kind = "phone"
)

// Subject is who asks to be enrolled: one box or phone of one site. It is what a certificate is made out to.
type Subject struct {
	Kind Kind   `json:"kind"`
	Site string `json:"site"`
	ID   string `json:"id"`
}

func (s Subject) String() string { return fmt.Sprintf("%s %s/%s", s.Kind, s.Site, s.ID) }

// Reserved is no box's name: the hub's own log stands under it among those of the boxes.
const Reserved = "hub"

// Valid says why the subject cannot be one.
func (s Subject) Valid() error {
	if s.Kind != Box && s.Kind != Phone {
		return fmt.Errorf("kind %q is neither box nor phone", string(s.Kind))
	}
	if !gateway.ValidLabel(s.Site) {
		return fmt.Errorf("site %q must be %s", s.Site, gateway.LabelRule)
	}
	if s.Kind == Box && s.ID == Reserved {
		return fmt.Errorf("%q is the hub's own name: choose another for the box", s.ID)
	}
	if !gateway.ValidLabel(s.ID) {
		return fmt.Errorf("%s %q must be %s", s.Kind, s.ID, gateway.LabelRule)
	}
	return nil
}

// URI is the subject's name in certificates: spiffe://<site>/<kind>/<id>.
func (s Subject) URI() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: s.Site, Path: "/" + string(s.Kind) + "/" + s.ID}
}

// Name is the subject's distinguished name in certificates.
func (s Subject) Name() pkix.Name {
	return pkix.Name{CommonName: s.ID, Organization: []string{s.Site}}
}

// CertificateSubject reads whose certificate it is. Only one that carries exactly what is given out here will do; who
// signed it is for the caller to check.
func CertificateSubject(c *x509.Certificate) (Subject, error) {
	s, err := subjectOf(c.Subject, c.URIs)
	if err == nil && len(c.DNSNames)+len(c.IPAddresses)+len(c.EmailAddresses) > 0 {
		err = errors.New("it has names besides")
	}
	if err != nil {
		return Subject{}, fmt.Errorf("read the certificate's subject: %w", err)
	}
	return s, nil
}

// RequestSubject reads for whom a certificate is asked.
func RequestSubject(r *x509.CertificateRequest) (Subject, error) {
	s, err := subjectOf(r.Subject, r.URIs)
	if err == nil && len(r.DNSNames)+len(r.IPAddresses)+len(r.EmailAddresses) > 0 {
		err = errors.New("it asks for names besides")
	}
	if err != nil {
		return Subject{}, fmt.Errorf("read the request's subject: %w", err)
	}
	return s, nil
}

// ParseURI is the other side of URI.
func ParseURI(text string) (Subject, error) {
	rest, _ := strings.CutPrefix(text, "spiffe://")
	site, path, _ := strings.Cut(rest, "/")
	kind, id, _ := strings.Cut(path, "/")
	s := Subject{Kind: Kind(kind), Site: site, ID: id}
	if s.Valid() != nil || s.URI().String() != text {
		return Subject{}, fmt.Errorf("%q is not of the form spiffe://site/kind/id", text)
	}
	return s, nil
}

func subjectOf(name pkix.Name, uris []*url.URL) (Subject, error) {
	if len(uris) != 1 {
		return Subject{}, fmt.Errorf("it has %d URIs instead of one", len(uris))
	}
	s, err := ParseURI(uris[0].String())
	if err != nil {
		return Subject{}, err
	}
	if name.CommonName != s.ID || len(name.Organization) != 1 || name.Organization[0] != s.Site {
		return Subject{}, fmt.Errorf("its name %q is not that of %s", name, s)
	}
	return s, nil
}

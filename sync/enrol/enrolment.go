package enrol

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tapward/sync/claim"
)

// ErrNotEnrolled says that the box has not been claimed yet.
var ErrNotEnrolled = errors.New("this box is not enrolled: it must be claimed")

// Trust is who the box is to the hub, and what it trusts of it.
type Trust struct {
	Subject claim.Subject `json:"subject"`
	Ward    string        `json:"ward"`
	Hub     claim.Hub     `json:"hub"`
}

// Standing is how it is with the certificate, for the station and for metrics.
type Standing struct {
	Ends    time.Time // of the certificate
	Trouble string    // why the newest renewal failed; empty: it did not
	Refused bool      // the hub said no; a person must look
}

// Enrolment is an enrolled box's certificate, always the newest.
type Enrolment struct {
	folder  string
	log     *slog.Logger
	current atomic.Pointer[held]
	changed chan struct{}

	mu       sync.Mutex
	standing Standing
}

// held is what the file holds, read.
type held struct {
	trust Trust
	roots *x509.CertPool
	cert  *tls.Certificate
}

// stored is the file.
type stored struct {
	Trust
	Chain [][]byte `json:"chain"`
	Key   []byte   `json:"key"` // PKCS #8
}

// Load reads the enrolment of a box that was claimed before, else ErrNotEnrolled.
func Load(folder string, log *slog.Logger) (*Enrolment, error) {
	var s stored
	err := readFile(folder, enrolmentFile, &s)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotEnrolled
	}
	if err != nil {
		return nil, fmt.Errorf("load the enrolment: %w", err)
	}
	h, err := s.open()
	if err != nil {
		return nil, fmt.Errorf("load the enrolment: %w", err)
	}
	return newEnrolment(folder, h, log), nil
}

func newEnrolment(folder string, h *held, log *slog.Logger) *Enrolment {
	e := &Enrolment{folder: folder, log: log, changed: make(chan struct{}, 1)}
	e.current.Store(h)
	e.standing.Ends = h.cert.Leaf.NotAfter
	return e
}

func (s stored) open() (*held, error) {
	key, err := x509.ParsePKCS8PrivateKey(s.Key)
	private, ok := key.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("the private key is damaged") // never the parser's words about a key
	}
	return hold(s.Trust, s.Chain, private)
}

// hold checks that everything fits together: the certificate is of this key, for this subject and made by this CA. Its
// dates are not looked at: a box may have been in a drawer, or not know what day it is.
func hold(t Trust, chain [][]byte, key *ecdsa.PrivateKey) (*held, error) {
	if err := t.Hub.Valid(); err != nil {
		return nil, err
	}
	certs, err := x509.ParseCertificates(bytes.Join(chain, nil))
	if err != nil || len(certs) == 0 {
		return nil, errors.New("the certificate cannot be read")
	}
	leaf := certs[0]
	if subject, err := claim.CertificateSubject(leaf); err != nil || subject != t.Subject {
		return nil, fmt.Errorf("the certificate is not of %s", t.Subject)
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return nil, errors.New("the certificate is of another key")
	}
	h := &held{trust: t, roots: x509.NewCertPool(), cert: &tls.Certificate{PrivateKey: key, Leaf: leaf}}
	roots, err := t.Hub.Roots()
	if err != nil {
		return nil, err
	}
	for _, root := range roots {
		h.roots.AddCert(root)
	}
	between := x509.NewCertPool()
	for _, c := range certs {
		h.cert.Certificate = append(h.cert.Certificate, c.Raw)
		between.AddCert(c)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: h.roots, Intermediates: between, CurrentTime: leaf.NotBefore,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, fmt.Errorf("the certificate is not of the hub's CA: %w", err)
	}
	return h, nil
}

// store makes h the enrolment, first on disk.
func (h *held) store(folder string) error {
	key, err := x509.MarshalPKCS8PrivateKey(h.cert.PrivateKey)
	if err != nil {
		return errors.New("encode the private key")
	}
	return writeFile(folder, enrolmentFile, stored{h.trust, h.cert.Certificate, key})
}

// Trust says who this box is and whom it trusts. A renewal may change where the hub is found.
func (e *Enrolment) Trust() Trust { return e.current.Load().trust }

// Certificate is the newest one.
func (e *Enrolment) Certificate() *tls.Certificate { return e.current.Load().cert }

// GetClientCertificate is for tls.Config: each new connection shows the newest certificate.
func (e *Enrolment) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return e.Certificate(), nil
}

// Changed says that there is a new certificate, and maybe a new place of the hub: connections that stand go on with the
// old certificate until they are made anew. One goroutine may listen.
func (e *Enrolment) Changed() <-chan struct{} { return e.changed }

// Standing is how it is with the certificate.
func (e *Enrolment) Standing() Standing {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.standing
}

func (e *Enrolment) stand(s Standing) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.standing = s
}

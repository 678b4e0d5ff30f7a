// Package embedded is the certificate authority of a hospital that runs none: one root key in a file of the hub.
package embedded

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"tapward/gateway"
	"tapward/sync/hub/enrol"
)

// CA signs with its root, which lies in memory. It writes no list of what it signed: the hub keeps that.
type CA struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate
}

const (
	certBlock = "CERTIFICATE"
	keyBlock  = "PRIVATE KEY"
	rootTime  = 20 * 365 * 24 * time.Hour
	backdate  = 5 * time.Minute // for clocks that are behind
	maxFile   = 64 << 10
)

// Open reads the CA of a site, certificate and key in PEM. Where there is no file it makes one, readable by nobody else:
// whoever has it can let boxes in.
func Open(path, site string) (*CA, error) {
	text, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = create(path, site); errors.Is(err, fs.ErrExist) {
			text, err = read(path) // another hub was faster
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the CA: %w", err)
	}
	ca, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("open the CA %s: %w", path, err)
	}
	return ca, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if stat.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others (mode %04o): make it 0600", path, stat.Mode().Perm())
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

func parse(text []byte) (*CA, error) {
	ca := &CA{}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case certBlock:
			root, err := x509.ParseCertificate(block.Bytes)
			if err != nil || !root.IsCA {
				return nil, errors.New("the certificate is not of a CA")
			}
			ca.root = root
		case keyBlock:
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			private, ok := key.(*ecdsa.PrivateKey)
			if err != nil || !ok {
				return nil, errors.New("the private key is not ECDSA in PKCS #8") // never the parser's words about a key
			}
			ca.key = private
		}
	}
	if ca.key == nil || ca.root == nil || !ca.key.PublicKey.Equal(ca.root.PublicKey) {
		return nil, errors.New("want one CERTIFICATE and its PRIVATE KEY in PEM")
	}
	return ca, nil
}

// create makes a root and stores it durably, whole or not at all.
func create(path, site string) ([]byte, error) {
	text, err := newRoot(site)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".ca-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(f.Name(), path); err != nil { // fails where path exists, unlike rename
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return text, errors.Join(dir.Sync(), dir.Close())
}

func newRoot(site string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: "Tapward " + site, Organization: []string{site}},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(rootTime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, block := range []*pem.Block{{Type: certBlock, Bytes: der}, {Type: keyBlock, Bytes: secret}} {
		if err := pem.Encode(&text, block); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

func newSerial() *big.Int {
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] = serial[0]&0x7f | 0x40 // positive and of full length, RFC 5280 4.1.2.2
	return new(big.Int).SetBytes(serial)
}

// Roots gives the root.
func (ca *CA) Roots() []*x509.Certificate { return []*x509.Certificate{ca.root} }

// Fingerprint is what boxes are told at their first boot.
func (ca *CA) Fingerprint() gateway.Fingerprint {
	return gateway.FingerprintOf(ca.root.RawSubjectPublicKeyInfo)
}

// Sign makes a certificate with the names of the request.
func (ca *CA) Sign(_ context.Context, request *x509.CertificateRequest, use enrol.Use, lifetime time.Duration) ([]*x509.Certificate, error) {
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	purpose := x509.ExtKeyUsageClientAuth
	if use == enrol.Server {
		purpose = x509.ExtKeyUsageServerAuth
	}
	now := time.Now()
	leaf := &x509.Certificate{
		SerialNumber: newSerial(), Subject: request.Subject,
		DNSNames: request.DNSNames, IPAddresses: request.IPAddresses, URIs: request.URIs,
		NotBefore: now.Add(-backdate), NotAfter: now.Add(lifetime),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{purpose},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca.root, request.PublicKey, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return []*x509.Certificate{made}, nil
}

package link

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"time"

	"tapward/gateway"
	"tapward/gateway/durable"
)

// Identity is a box's or a phone's own P-256 key with a self-signed certificate that only carries it. Peers pin the
// key; the certificate's name and dates mean nothing, since a box may boot in 1970. An Identity prints as its
// fingerprint in every verb and never shows its key.
type Identity struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

const (
	certBlock = "CERTIFICATE"
	keyBlock  = "PRIVATE KEY"
)

// NewIdentity makes a key; name is for people who look at the certificate.
func NewIdentity(name string) (Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Identity{}, fmt.Errorf("make identity: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Unix(0, 0).UTC(),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 4.1.2.5: no expiry
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Identity{}, fmt.Errorf("make identity: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Identity{}, fmt.Errorf("make identity: %w", err)
	}
	return Identity{key, cert}, nil
}

// ParseIdentity reads the PEM form: one certificate and its PKCS #8 key, in either order. It is also the form of a
// systemd credential.
func ParseIdentity(text []byte) (Identity, error) {
	var id Identity
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if err := id.take(block); err != nil {
			return Identity{}, fmt.Errorf("read identity: %w", err)
		}
	}
	if id.key == nil || id.cert == nil {
		return Identity{}, errors.New("read identity: want one CERTIFICATE and one PRIVATE KEY block in PEM")
	}
	if !id.key.PublicKey.Equal(id.cert.PublicKey) {
		return Identity{}, errors.New("read identity: the certificate is not of this key")
	}
	return id, nil
}

func (id *Identity) take(block *pem.Block) error {
	switch block.Type {
	case certBlock:
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		if _, err := pinnable(cert); err != nil {
			return err
		}
		id.cert = cert
	case keyBlock:
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return errors.New("the private key is not PKCS #8") // never the parser's words about a key
		}
		private, ok := key.(*ecdsa.PrivateKey)
		if !ok {
			return errors.New("the private key is not ECDSA")
		}
		id.key = private
	default:
		return fmt.Errorf("unexpected %q block", block.Type)
	}
	return nil
}

// LoadIdentity reads an identity that CreateIdentity wrote. A file that others may read is refused.
func LoadIdentity(path string) (Identity, error) {
	file, err := os.Open(path)
	if err != nil {
		return Identity{}, fmt.Errorf("load identity: %w", err)
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return Identity{}, fmt.Errorf("load identity: %w", err)
	}
	if stat.Mode().Perm()&0o077 != 0 {
		return Identity{}, fmt.Errorf("load identity: %s may be read by others (mode %04o): make it 0600", path, stat.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(file, 64<<10))
	if err != nil {
		return Identity{}, fmt.Errorf("load identity: %w", err)
	}
	id, err := ParseIdentity(text)
	if err != nil {
		return Identity{}, fmt.Errorf("load identity %s: %w", path, err)
	}
	return id, nil
}

// CreateIdentity makes an identity and stores it durably at path with mode 0600. An existing file is never
// overwritten: the error is then fs.ErrExist.
func CreateIdentity(path, name string) (Identity, error) {
	if _, err := os.Lstat(path); err == nil {
		return Identity{}, fmt.Errorf("create identity: %s: %w", path, fs.ErrExist)
	}
	id, err := NewIdentity(name)
	if err != nil {
		return Identity{}, err
	}
	if err := durable.Create(path, id.PEM()); err != nil {
		return Identity{}, fmt.Errorf("create identity: %w", err)
	}
	return id, nil
}

// PEM is the form that ParseIdentity reads. It holds the private key.
func (id Identity) PEM() []byte {
	key, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		panic(err) // a P-256 key always encodes
	}
	var text bytes.Buffer
	for _, block := range []*pem.Block{{Type: certBlock, Bytes: id.cert.Raw}, {Type: keyBlock, Bytes: key}} {
		pem.Encode(&text, block)
	}
	return text.Bytes()
}

// Fingerprint is what the other side pins.
func (id Identity) Fingerprint() gateway.Fingerprint {
	return gateway.FingerprintOf(id.cert.RawSubjectPublicKeyInfo)
}

// Public is the key that the other side verifies signatures with.
func (id Identity) Public() *ecdsa.PublicKey { return &id.key.PublicKey }

func (id Identity) certificate() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{id.cert.Raw}, PrivateKey: id.key, Leaf: id.cert}
}

func (id Identity) print() string {
	if id.cert == nil {
		return "no identity"
	}
	return id.Fingerprint().String()
}

func (id Identity) Format(f fmt.State, _ rune)   { io.WriteString(f, id.print()) }
func (id Identity) LogValue() slog.Value         { return slog.StringValue(id.print()) }
func (id Identity) MarshalText() ([]byte, error) { return []byte(id.print()), nil }

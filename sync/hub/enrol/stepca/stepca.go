// Package stepca has certificates made by the hospital's own step-ca (github.com/smallstep/certificates).
//
// The hub is its registration authority: it holds the key of a JWK provisioner, makes a one-time token for each request
// and spends it at once. step-ca writes tokens into its log; one of these is spent when it stands there, lives a minute,
// and serves for one certificate request only, named by its digest.
package stepca

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"tapward/sync/hub/enrol"
)

// Config says where step-ca is and what the hub is to it.
type Config struct {
	URL         string          // https://host:port
	Root        []byte          // its root certificate, PEM
	Provisioner string          // name of the JWK provisioner that is the hub's alone
	Key         jose.JSONWebKey // its private key
}

// CA asks a step-ca. Two deadlines bound each request: this and the caller's.
type CA struct {
	config Config
	root   *x509.Certificate
	client *http.Client
	signer jose.Signer
}

const (
	patience  = 10 * time.Second
	tokenLife = time.Minute
	backdate  = 30 * time.Second // for clocks that differ
	maxAnswer = 256 << 10
)

// New checks what it is given; it asks nothing yet.
func New(c Config) (*CA, error) {
	block, _ := pem.Decode(c.Root)
	if block == nil {
		return nil, errors.New("set up step-ca: its root certificate is not PEM")
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !root.IsCA {
		return nil, errors.New("set up step-ca: its root certificate is not of a CA")
	}
	if !strings.HasPrefix(c.URL, "https://") || c.Provisioner == "" || c.Key.IsPublic() || !c.Key.Valid() {
		return nil, errors.New("set up step-ca: it needs an https URL, a provisioner and the provisioner's private key")
	}
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", c.Key.KeyID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.Key.Key}, options)
	if err != nil {
		return nil, errors.New("set up step-ca: the provisioner's key is not a P-256 key") // never the library's words about a key
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	transport.Proxy = nil
	c.URL = strings.TrimSuffix(c.URL, "/")
	return &CA{c, root, &http.Client{Transport: transport, Timeout: patience}, signer}, nil
}

// Roots gives step-ca's root.
func (ca *CA) Roots() []*x509.Certificate { return []*x509.Certificate{ca.root} }

// claims are a one-time token. Tapward is for the provisioner's template (docs/hub.md).
type claims struct {
	jwt.Claims
	SANs    []string `json:"sans"`
	Request struct {
		Digest string `json:"x5rt#S256"`
	} `json:"cnf"`
	Tapward struct {
		Organization []string `json:"organization,omitempty"`
		Usage        []string `json:"usage"`
	} `json:"tapward"`
}

func (ca *CA) token(request *x509.CertificateRequest, use enrol.Use, now time.Time) (string, error) {
	digest := sha256.Sum256(request.Raw)
	id := make([]byte, 16)
	rand.Read(id)
	c := claims{
		Claims: jwt.Claims{
			Issuer: ca.config.Provisioner, Subject: request.Subject.CommonName, Audience: jwt.Audience{ca.config.URL + "/1.0/sign"},
			ID: hex.EncodeToString(id), IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-backdate)),
			Expiry: jwt.NewNumericDate(now.Add(tokenLife)),
		},
		SANs: names(request),
	}
	c.Request.Digest = base64.RawURLEncoding.EncodeToString(digest[:])
	c.Tapward.Organization = request.Subject.Organization
	c.Tapward.Usage = []string{"clientAuth"}
	if use == enrol.Server {
		c.Tapward.Usage = []string{"serverAuth"}
	}
	return jwt.Signed(ca.signer).Claims(c).Serialize()
}

func names(request *x509.CertificateRequest) (all []string) {
	all = append(all, request.DNSNames...)
	for _, ip := range request.IPAddresses {
		all = append(all, ip.String())
	}
	for _, u := range request.URIs {
		all = append(all, u.String())
	}
	return all
}

// Sign has step-ca make a certificate.
func (ca *CA) Sign(ctx context.Context, request *x509.CertificateRequest, use enrol.Use, lifetime time.Duration) ([]*x509.Certificate, error) {
	chain, err := ca.sign(ctx, request, use, lifetime)
	if err != nil {
		return nil, fmt.Errorf("ask step-ca at %s: %w", ca.config.URL, err)
	}
	return chain, nil
}

func (ca *CA) sign(ctx context.Context, request *x509.CertificateRequest, use enrol.Use, lifetime time.Duration) ([]*x509.Certificate, error) {
	now := time.Now()
	token, err := ca.token(request, use, now)
	if err != nil {
		return nil, errors.New("make a one-time token")
	}
	body, err := json.Marshal(map[string]string{
		"csr":       string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request.Raw})),
		"ott":       token,
		"notBefore": now.Add(-backdate).UTC().Format(time.RFC3339),
		"notAfter":  now.Add(lifetime - backdate).UTC().Format(time.RFC3339),
	})
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, ca.config.URL+"/1.0/sign", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	answer, err := ca.client.Do(q)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	return ca.read(answer.StatusCode, text)
}

func (ca *CA) read(status int, text []byte) ([]*x509.Certificate, error) {
	var answer struct {
		Chain   []string `json:"certChain"`
		Message string   `json:"message"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("it answered %d and no JSON", status)
	}
	if status != http.StatusCreated {
		return nil, fmt.Errorf("it refused (%d): %.200q", status, answer.Message)
	}
	var chain []*x509.Certificate
	for _, part := range answer.Chain {
		block, _ := pem.Decode([]byte(part))
		if block == nil {
			return nil, errors.New("its answer holds no PEM")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if !c.Equal(ca.root) {
			chain = append(chain, c)
		}
	}
	if len(chain) == 0 {
		return nil, errors.New("its answer holds no certificate")
	}
	return chain, nil
}

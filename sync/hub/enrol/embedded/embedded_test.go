package embedded

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/sync/claim"
	"tapward/sync/hub/enrol"
)

func TestOneRootWhoeverOpensFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca")
	var mu sync.Mutex
	seen := map[gateway.Fingerprint]bool{}
	var hubs sync.WaitGroup
	for range 8 {
		hubs.Go(func() {
			ca, err := Open(path, "st-anna")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			seen[ca.Fingerprint()] = true
		})
	}
	hubs.Wait()
	if len(seen) != 1 {
		t.Errorf("%d roots for one hospital", len(seen))
	}
	stat, err := os.Stat(path)
	if err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", stat, err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca")
	if _, err := Open(path, "st-anna"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, "st-anna"); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("%v", err)
	}
	for _, text := range []string{"", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"} {
		bad := filepath.Join(t.TempDir(), "ca")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(bad, "st-anna"); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
}

func TestWhatIsSigned(t *testing.T) {
	ca, err := Open(filepath.Join(t.TempDir(), "ca"), "st-anna")
	if err != nil {
		t.Fatal(err)
	}
	s := claim.Subject{Kind: claim.Box, Site: "st-anna", ID: "box-7"}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	request := &x509.CertificateRequest{Subject: s.Name(), DNSNames: []string{"hub.example"}}
	request.URIs = append(request.URIs, s.URI())
	der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		t.Fatal(err)
	}
	if request, err = x509.ParseCertificateRequest(der); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Roots()[0])
	for use, want := range map[enrol.Use]x509.ExtKeyUsage{enrol.Client: x509.ExtKeyUsageClientAuth, enrol.Server: x509.ExtKeyUsageServerAuth} {
		chain, err := ca.Sign(t.Context(), request, use, time.Hour)
		if err != nil || len(chain) != 1 {
			t.Fatal(err)
		}
		c := chain[0]
		if _, err := c.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{want}}); err != nil {
			t.Errorf("%s: %v", use, err)
		}
		if c.IsCA || len(c.ExtKeyUsage) != 1 || time.Until(c.NotAfter) > time.Hour || c.SerialNumber.BitLen() < 120 {
			t.Errorf("%s: %+v", use, c)
		}
	}
	request.Signature[8] ^= 1
	if _, err := ca.Sign(t.Context(), request, enrol.Client, time.Hour); err == nil {
		t.Error("a request that its key did not sign was signed")
	}
}

package enrol_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"tapward/sync/hub/enrol/stepca"
)

const (
	stepPackage = "github.com/smallstep/certificates/cmd/step-ca"
	stepVersion = "v0.30.2"
)

// stepTemplate is what docs/hub.md asks of the hospital's step-ca.
const stepTemplate = `{
	"subject": {"commonName": {{ toJson .Subject.CommonName }}, "organization": {{ toJson .Token.tapward.organization }}},
	"sans": {{ toJson .SANs }},
	"keyUsage": ["digitalSignature"],
	"extKeyUsage": {{ toJson .Token.tapward.usage }}
}`

// installStepCA builds the real step-ca once, into the user's cache.
func installStepCA(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(must(os.UserCacheDir()), "tapward", "step-ca-"+stepVersion)
	program := filepath.Join(dir, "step-ca")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	install := exec.Command("go", "install", stepPackage+"@"+stepVersion)
	install.Dir = "/" // outside of this module
	install.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOBIN="+dir)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("install step-ca: %v\n%s", err, out)
	}
	return program
}

// stepCA is a running step-ca.
type stepCA struct {
	stepca.Config
	mu  sync.Mutex
	log bytes.Buffer
}

// said is its log so far.
func (s *stepCA) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// authority makes a CA certificate, signed by parent or by itself.
func authority(name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	key := newKey()
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * 365 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if parent == nil {
		parent, parentKey = c, key
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)))), key
}

// startStepCA starts one on a folder of the test, with a root, an intermediate that signs, and the hub as provisioner.
func startStepCA(t testing.TB) *stepCA {
	t.Helper()
	program := installStepCA(t)
	dir := t.TempDir()
	write := func(name, kind string, der []byte) []byte {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		return text
	}
	root, rootKey := authority("Hospital Root", nil, nil)
	middle, middleKey := authority("Hospital Intermediate", root, rootKey)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	key := jose.JSONWebKey{Key: newKey(), KeyID: "hub", Algorithm: string(jose.ES256), Use: "sig"}
	s := &stepCA{Config: stepca.Config{URL: "https://" + addr, Root: write("root.crt", "CERTIFICATE", root.Raw), Provisioner: "tapward-hub", Key: key}}
	write("ca.crt", "CERTIFICATE", middle.Raw)
	write("ca.key", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(middleKey)))
	config := must(json.Marshal(map[string]any{
		"root": filepath.Join(dir, "root.crt"), "crt": filepath.Join(dir, "ca.crt"), "key": filepath.Join(dir, "ca.key"),
		"address": addr, "dnsNames": []string{"127.0.0.1"}, "logger": map[string]any{"format": "json"},
		"db": map[string]any{"type": "badgerv2", "dataSource": filepath.Join(dir, "db")},
		"authority": map[string]any{"provisioners": []any{map[string]any{
			"type": "JWK", "name": s.Provisioner, "key": key.Public(), "claims": map[string]any{"maxTLSCertDuration": "168h"},
			"options": map[string]any{"x509": map[string]any{"template": stepTemplate}},
		}}},
	}))
	if err := os.WriteFile(filepath.Join(dir, "ca.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, exec.Command(program, filepath.Join(dir, "ca.json")), dir)
	return s
}

// run starts it and returns when it serves.
func (s *stepCA) run(t testing.TB, cmd *exec.Cmd, dir string) {
	t.Helper()
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "STEPPATH="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out := must(cmd.StderrPipe())
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	serves, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		once := sync.OnceFunc(func() { close(serves) })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.mu.Lock()
			fmt.Fprintln(&s.log, lines.Text())
			s.mu.Unlock()
			if strings.Contains(lines.Text(), "Serving HTTPS on") {
				once()
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		cmd.Wait()
	})
	select {
	case <-serves:
	case <-ended:
		t.Fatalf("step-ca ended:\n%s", s.said())
	case <-time.After(30 * time.Second):
		t.Fatalf("step-ca does not serve:\n%s", s.said())
	}
}

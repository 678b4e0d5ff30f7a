package atna_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
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
	"syscall"
	"testing"
	"time"
)

// ca gives certificates to both sides of a test.
type ca struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newCA(t *testing.T) *ca {
	t.Helper()
	c := &ca{key: must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	_, c.cert = c.issue(t, "test CA", true)
	return c
}

func (c *ca) issue(t *testing.T, name string, isCA bool) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: isCA,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	key, parent := c.key, template
	if isCA {
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
	} else {
		key, parent = must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), c.cert
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, c.key))
	leaf := must[*x509.Certificate](t)(x509.ParseCertificate(der))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, leaf
}

func (c *ca) client(t *testing.T, name string) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	config := &tls.Config{RootCAs: pool, ServerName: "arr.example"}
	if name != "" {
		cert, _ := c.issue(t, name, false)
		config.Certificates = []tls.Certificate{cert}
	}
	return config
}

// rsyslog is Debian's rsyslogd as an audit record repository.
type rsyslog struct {
	address string
	out     string
	end     func()
}

const rsyslogConfig = `
global(workDirectory="DIR" maxMessageSize="256k" defaultNetstreamDriver="DRIVER"
  defaultNetstreamDriverCAFile="DIR/ca.pem" defaultNetstreamDriverCertFile="DIR/cert.pem" defaultNetstreamDriverKeyFile="DIR/key.pem")
module(load="imtcp" streamDriver.name="DRIVER" streamDriver.mode="1" streamDriver.authMode="x509/name" permittedPeer=["hub.example"])
input(type="imtcp" address="127.0.0.1" port="PORT" listenPortFileName="DIR/port")
template(name="json" type="list") { property(name="jsonmesg") constant(value="\n") }
if $syslogtag startswith "tapward-hub" then action(type="omfile" file="DIR/out" template="json")
`

func startRsyslog(t *testing.T, c *ca, driver, dir, port string) *rsyslog {
	t.Helper()
	cert, _ := c.issue(t, "arr.example", false)
	key := must[[]byte](t)(x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey)))
	config := strings.NewReplacer("DIR", dir, "DRIVER", driver, "PORT", port).Replace(rsyslogConfig)
	for name, content := range map[string][]byte{
		"ca.pem":   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw}),
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}),
		"conf":     []byte(config),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	os.Remove(filepath.Join(dir, "port"))
	daemon := exec.Command("rsyslogd", "-n", "-f", filepath.Join(dir, "conf"), "-i", filepath.Join(dir, "pid"))
	var said bytes.Buffer
	daemon.Stdout, daemon.Stderr = &said, &said
	if err := daemon.Start(); err != nil {
		t.Fatalf("start rsyslogd (Debian's packages rsyslog, rsyslog-gnutls and rsyslog-openssl): %v", err)
	}
	ended := make(chan struct{})
	go func() { daemon.Wait(); close(ended) }()
	r := &rsyslog{out: filepath.Join(dir, "out"), end: func() {
		daemon.Process.Signal(syscall.SIGTERM)
		<-ended
	}}
	t.Cleanup(r.end)
	until(t, "rsyslogd listens", func() bool {
		select {
		case <-ended:
			t.Fatalf("rsyslogd ended: %s", said.String())
		default:
		}
		if port == "0" { // it writes down only a port that it chose
			number, err := os.ReadFile(filepath.Join(dir, "port"))
			if err != nil || len(number) < 2 {
				return false
			}
			port = strings.TrimSpace(string(number))
		}
		r.address = "127.0.0.1:" + port // which is written down a moment before it listens
		conn, err := net.Dial("tcp", r.address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return r
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, end := time.NewTicker(10*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("in vain: " + what)
		}
	}
}

// parsed is a message as rsyslogd understood it.
type parsed struct {
	Message string `json:"msg"`
	Host    string `json:"hostname"`
	ID      string `json:"msgid"`
	App     string `json:"app-name"`
	PRI     string `json:"pri"`
	Time    string `json:"timereported"`
}

func (r *rsyslog) messages(t *testing.T) (all []parsed) {
	t.Helper()
	content, _ := os.ReadFile(r.out)
	for line := range strings.Lines(string(content)) {
		var p parsed
		if !strings.HasSuffix(line, "\n") {
			break
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(fmt.Errorf("%q: %w", line, err))
		}
		all = append(all, p)
	}
	return all
}

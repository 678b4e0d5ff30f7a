package link

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

func pin(keys ...gateway.Fingerprint) Known {
	return func(key gateway.Fingerprint) bool {
		for _, k := range keys {
			if k == key {
				return true
			}
		}
		return false
	}
}

// both runs the two ends of one connection to the end of their handshakes and of one message.
func both(t *testing.T, server, client func(net.Conn) (*Conn, error)) (serverErr, clientErr error) {
	t.Helper()
	l := listen(t)
	defer l.Close()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		accepted, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		c, err := server(accepted)
		if err == nil {
			err = c.Write(Ping{})
			defer c.Close()
		}
		done <- err
	}()
	c, err := client(raw)
	if err == nil {
		_, err = c.Read() // TLS 1.3: a client learns here that the server refused it
		c.Close()
	}
	return <-done, err
}

func TestBothSidesArePinned(t *testing.T) {
	box, handset, other := newIdentity(t, "box"), newIdentity(t, "phone"), newIdentity(t, "other")
	run := func(serverPins, clientPins gateway.Fingerprint) (error, error) {
		return both(t,
			func(c net.Conn) (*Conn, error) { return Server(t.Context(), c, box, pin(serverPins)) },
			func(c net.Conn) (*Conn, error) { return Client(t.Context(), c, handset, pin(clientPins)) })
	}
	if s, c := run(handset.Fingerprint(), box.Fingerprint()); s != nil || c != nil {
		t.Errorf("pinned on both sides: %v, %v", s, c)
	}
	var unknown *UnknownKey
	s, c := run(other.Fingerprint(), box.Fingerprint())
	if !errors.As(s, &unknown) || unknown.Key != handset.Fingerprint() || c == nil {
		t.Errorf("server that pins another: %v, %v", s, c)
	}
	unknown = nil
	s, c = run(handset.Fingerprint(), other.Fingerprint())
	if !errors.As(c, &unknown) || unknown.Key != box.Fingerprint() || s == nil {
		t.Errorf("client that pins another: %v, %v", s, c)
	}
}

// certificateFor is a self-signed certificate that was valid for one hour of 1999.
func certificateFor(t *testing.T, key crypto.Signer) tls.Certificate {
	t.Helper()
	when := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"}, NotBefore: when, NotAfter: when.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestWhatTheHandshakeTakes(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	box := newIdentity(t, "box")
	for name, c := range map[string]struct {
		takes  bool
		config func(*tls.Config)
	}{
		"an expired certificate of a pinned key": {true, func(c *tls.Config) {}},
		"TLS 1.2":                                {false, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12; c.MinVersion = 0 }},
		"no ALPN":                                {false, func(c *tls.Config) { c.NextProtos = nil }},
		"another ALPN":                           {false, func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
		"no certificate":                         {false, func(c *tls.Config) { c.Certificates = nil }},
		"Ed25519":                                {false, func(c *tls.Config) { c.Certificates = []tls.Certificate{certificateFor(t, ed)} }},
		"P-384":                                  {false, func(c *tls.Config) { c.Certificates = []tls.Certificate{certificateFor(t, p384)} }},
		"RSA":                                    {false, func(c *tls.Config) { c.Certificates = []tls.Certificate{certificateFor(t, rsaKey)} }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{ALPN},
				Certificates: []tls.Certificate{certificateFor(t, p256)}}
			c.config(cfg)
			everyone := func(gateway.Fingerprint) bool { return true }
			s, _ := both(t,
				func(c net.Conn) (*Conn, error) { return Server(t.Context(), c, box, everyone) },
				func(raw net.Conn) (*Conn, error) { return authenticate(t.Context(), tls.Client(raw, cfg)) })
			if (s == nil) != c.takes {
				t.Errorf("server says %v", s)
			}
		})
	}
}

// Every link proves its keys anew: no ticket is given, so nothing can be resumed and no early data sent.
func TestNothingIsResumed(t *testing.T) {
	p := newPeer(t, "phone-01")
	b := newBox(t, nil, p.paired())
	sessions := tls.NewLRUClientSessionCache(8)
	for range 2 {
		raw, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		cfg := p.config()
		cfg.ClientSessionCache, cfg.ServerName = sessions, "box"
		q := *p
		q.conn = tls.Client(raw, cfg)
		defer q.conn.Close()
		q.greet()
		b.report(phone.Linked{}) // the second one replaces the first
		if q.conn.ConnectionState().DidResume {
			t.Error("a session was resumed")
		}
		if _, ok := sessions.Get("box"); ok {
			t.Error("a ticket was given")
		}
	}
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Server(ctx, ours, newIdentity(t, "box"), pin()); !errors.Is(err, context.Canceled) {
		t.Errorf("handshake returned %v", err)
	}
	if _, err := ours.Write([]byte{1}); err == nil {
		t.Error("the connection was left open")
	}
}

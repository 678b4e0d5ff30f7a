package station

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/isolate"
	"tapward/gateway/policy"
)

func TestMain(m *testing.M) { isolate.Main(m) }

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// openSocket serves a station on a unix socket and returns a client of it.
func openSocket(t *testing.T, e Engine) (c *Client, stop func()) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "api")
	stop = serve(t, New(e, nil, nil, slog.New(slog.DiscardHandler)), nil, tls.Certificate{}, listen(t, "unix", socket))
	return NewClient(socket), stop
}

// Every method of the client, over a real socket: the engine gets the act under the name of this process's user.
func TestClientActsUnderTheNameOfItsUser(t *testing.T) {
	e := newFake(busyWard(time.Now()))
	c, _ := openSocket(t, e)
	phone := gateway.Phone{ID: "phone-1", Key: fingerprint, Class: gateway.Privileged, Pool: "ward"}
	for _, err := range []error{
		c.AddPhone(t.Context(), phone), c.RemovePhone(t.Context(), "phone-1"), c.ReleasePhone(t.Context(), "phone-1"),
		c.TakeOver(t.Context(), "desk", "phone-1"), c.LoadPolicy(t.Context(), []byte("version = 1")),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	me := "uid " + fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		me = u.Username
	}
	want := []done{
		{me, gateway.AddPhone{Phone: phone}}, {me, gateway.RemovePhone{Phone: "phone-1"}}, {me, gateway.ReleasePhone{Phone: "phone-1"}},
		{me, gateway.TakeOver{Reader: "desk", Phone: "phone-1"}}, {me, gateway.LoadPolicy{Document: []byte("version = 1")}},
	}
	if got := e.acts(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("acts are %v, want %v", got, want)
	}
	if w, err := c.Ward(t.Context()); err != nil || len(w.Phones) != 12 || w.Phones[0].Holder != "Ana Demo" {
		t.Errorf("ward is %+v, %v", w, err)
	}
}

func TestClientSaysWhatTheBoxSaid(t *testing.T) {
	e := newFake(busyWard(time.Now()))
	c, _ := openSocket(t, e)
	e.fail = policy.Problems{{Line: 1, Where: "site", What: "is wrong"}, {Line: 2, Where: "ward", What: "is missing"}}
	if err := c.LoadPolicy(t.Context(), []byte("x")); err == nil || err.Error() != e.fail.Error() {
		t.Errorf("error is %v", err)
	}
	e.fail, e.after = &gateway.Refusal{Reason: gateway.UnknownPhone}, true
	if err := c.RemovePhone(t.Context(), "../policy"); err == nil || err.Error() != e.fail.Error() {
		t.Errorf("error is %v", err)
	}
	if got, want := fmt.Sprint(e.acts()), fmt.Sprintf("[{%s %v}]", e.acts()[0].operator, gateway.RemovePhone{Phone: "../policy"}); got != want {
		t.Errorf("acts are %s, want %s", got, want)
	}
}

func TestClientWithoutABox(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none")
	_, err := NewClient(socket).Ward(t.Context())
	if err == nil || !strings.Contains(err.Error(), socket) || !strings.Contains(err.Error(), "is tapwardd running") || strings.Contains(err.Error(), "http://") {
		t.Errorf("error is %v", err)
	}
}

// A watcher gets the ward, then newer ones, and an error when the box stops: open streams do not hold the stop up.
func TestWatchUntilTheBoxStops(t *testing.T) {
	e := newFake(emptyWard(time.Now()))
	c, stop := openSocket(t, e)
	pictures := make(chan *gateway.Ward)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Watch(t.Context(), func(w *gateway.Ward) error { pictures <- w; return nil })
	}()
	if w := <-pictures; len(w.Phones) != 0 {
		t.Errorf("the first picture has %d phones", len(w.Phones))
	}
	e.show(busyWard(time.Now()))
	if w := <-pictures; len(w.Phones) != 12 {
		t.Errorf("the second picture has %d phones", len(w.Phones))
	}
	start := time.Now()
	stop()
	if took := time.Since(start); took > stopWait/2 {
		t.Errorf("stopping took %v", took)
	}
	if err := <-ended; err == nil {
		t.Error("the watcher was not told that the box stopped")
	}
}

func TestWatchEndsWhenTheWatcherWants(t *testing.T) {
	c, _ := openSocket(t, newFake(emptyWard(time.Now())))
	enough := errors.New("enough")
	if err := c.Watch(t.Context(), func(*gateway.Ward) error { return enough }); err != enough {
		t.Errorf("error is %v", err)
	}
}

// browser trusts the station's own certificate and nothing else.
func browser(t *testing.T, certificate tls.Certificate) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestPageOverTLS(t *testing.T) {
	certificate, err := Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, "tcp", "127.0.0.1:0")
	e := newFake(busyWard(time.Now()))
	serve(t, New(e, nil, nil, slog.New(slog.DiscardHandler)), l, certificate, nil)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	b := browser(t, certificate)
	for _, host := range []string{"127.0.0.1", "localhost"} {
		answer, err := b.Get("https://" + net.JoinHostPort(host, port) + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != 200 || !strings.Contains(string(body), "Ana Demo") || answer.ProtoMajor != 2 {
			t.Errorf("%s: %s %v %v", host, answer.Status, answer.Proto, err)
		}
	}
	answer, err := b.Post("https://"+l.Addr().String()+"/v1/takeover", "application/json", strings.NewReader(`{"reader":"desk","phone":"phone-01"}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got := e.acts(); len(got) != 1 || got[0].operator != "station" {
		t.Errorf("a take-over on loopback did %v", got)
	}
	answer, err = b.Post("https://"+l.Addr().String()+"/v1/phones/phone-01/release", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("the page's port releases a phone: %s", answer.Status)
	}
}

func TestOnlyLoopbackTakesOver(t *testing.T) {
	for address, want := range map[string]right{"127.0.0.1": view | takeOver, "::1": view | takeOver, "10.0.0.7": view, "fe80::1": view} {
		if got := fromNetwork(from{address: address}); got.may != want || !got.network || got.operator != "station" {
			t.Errorf("%s is %+v", address, got)
		}
	}
	if got := fromSocket(from{}); got.may != 0 {
		t.Errorf("a connection without credentials is %+v", got)
	}
}

// from is a connection as far as its remote address.
type from struct {
	net.Conn
	address string
}

func (f from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.address), Port: 1} }

func TestRunEndsWhenAListenerFails(t *testing.T) {
	socket, page := listen(t, "unix", filepath.Join(t.TempDir(), "api")), listen(t, "tcp", "127.0.0.1:0")
	certificate, err := Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	socket.Close()
	err = New(newFake(emptyWard(time.Now())), nil, nil, slog.New(slog.DiscardHandler)).Run(context.Background(), page, certificate, socket)
	if err == nil || !strings.Contains(err.Error(), "serve local API") {
		t.Errorf("error is %v", err)
	}
	if _, err := page.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the other listener is still open: %v", err)
	}
}

func TestCertificateIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	a, err := Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Certificate(dir)
	if err != nil || !a.Leaf.Equal(b.Leaf) {
		t.Errorf("a second certificate was made: %v", err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := a.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if a.Leaf.NotBefore.Year() != 1970 || a.Leaf.NotAfter.Year() != 9999 {
		t.Errorf("it holds from %v to %v: a box may boot in 1970", a.Leaf.NotBefore, a.Leaf.NotAfter)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the directory holds %v, %v", entries, err)
	}
	if at, err := entries[0].Info(); err != nil || at.Mode() != 0o600 {
		t.Errorf("mode is %v, %v", at.Mode(), err)
	}
}

func TestABrokenCertificateIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, CertificateFile)
	if err := os.WriteFile(file, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Certificate(dir); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("error is %v", err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "half a file" {
		t.Errorf("the file is now %q, %v", text, err)
	}
	if _, err := Certificate(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there was no error")
	}
}

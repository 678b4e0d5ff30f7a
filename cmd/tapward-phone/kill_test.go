package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/link"
)

// dialled is a link with a running phone, as box "west" sees it.
type dialled struct {
	p         *program
	conn      *link.Conn
	truth     gateway.Truth
	challenge string
}

func (p *program) dial() *dialled {
	p.t.Helper()
	raw, err := net.Dial("tcp", p.listen)
	if err != nil {
		p.t.Fatal(err)
	}
	conn, err := link.Client(p.t.Context(), raw, p.box, func(f gateway.Fingerprint) bool { return f == p.key })
	if err != nil {
		p.t.Fatal(err)
	}
	d := &dialled{p: p, conn: conn}
	d.write(link.Greet{Protocol: link.Protocol, Box: "west", Nonce: link.NewNonce()})
	hello, ok := d.read().(link.Hello)
	if !ok {
		p.t.Fatal("the first message is not a hello")
	}
	claims, err := link.VerifyHello(conn.PeerKey(), hello.Signed)
	if err != nil {
		p.t.Fatal(err)
	}
	d.truth, d.challenge = claims.Truth, hello.Challenge
	return d
}

func (d *dialled) write(m link.Message) {
	d.p.t.Helper()
	if err := d.conn.Write(m); err != nil {
		d.p.t.Fatal(err)
	}
}

func (d *dialled) read() link.Message {
	d.p.t.Helper()
	m, err := d.conn.Read()
	if err != nil {
		d.p.t.Fatal(err)
	}
	return m
}

func (d *dialled) receipt(id string) gateway.Receipt {
	d.p.t.Helper()
	for {
		r, ok := d.read().(link.ReceiptMessage)
		if !ok || r.ID != id {
			continue
		}
		c, err := link.VerifyReceipt(d.conn.PeerKey(), r.Signed)
		if err != nil {
			d.p.t.Fatal(err)
		}
		return c.Receipt
	}
}

func (d *dialled) bind() link.Order {
	d.p.t.Helper()
	g := gateway.Grant{Box: "west", Phone: "phone-07", Fence: d.truth.Fence + 1, Custody: 1, Clinician: "demo-1", Lease: 600, Limit: 3600}
	signed, err := link.SignGrant(d.p.box, g)
	if err != nil {
		d.p.t.Fatal(err)
	}
	return link.Order{
		ID: link.NewNonce(), Kind: gateway.Bind, Expect: d.truth.Fence, Next: g.Fence, Challenge: d.challenge,
		Grant: signed, Digest: g.Digest(), Name: "Demo Nurse",
	}
}

// TestKilledWhileClearing kills the program after it accepted a release and began to clear; started again it completes
// the clear by itself, and gives the receipt to whoever asks again.
func TestKilledWhileClearing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began, goOn := filepath.Join(dir, "began"), filepath.Join(dir, "go-on")
	for _, path := range []string{began, goOn} {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := newPhone(t, fmt.Sprintf("[commands]\ntimeout = \"1m\"\nclear = [\"/bin/sh\", \"-c\", \"echo clearing >%s; read line <%s\"]\n", began, goOn))
	p.start()
	d := p.dial()
	m := d.bind()
	d.write(m)
	if r := d.receipt(m.ID); r.Kind != gateway.Bound {
		t.Fatalf("bind: %+v", r)
	}
	if s := p.show(); s.Screen != agent.ScreenUnlocked || s.Name != "Demo Nurse" || s.Boxes != "west" {
		t.Fatalf("the phone shows %+v", s)
	}
	end := link.Order{ID: link.NewNonce(), Kind: gateway.Release, Expect: 1, Next: 2, Challenge: d.challenge, Digest: m.Digest}
	d.write(end)
	clearing := func() { // the command says that it began, and goes on when it is told to
		f, err := os.Open(began)
		if err != nil {
			t.Fatal(err)
		}
		bufio.NewReader(f).ReadString('\n')
		f.Close()
	}
	release := func() {
		if err := os.WriteFile(goOn, []byte("go on\n"), 0); err != nil {
			t.Fatal(err)
		}
	}
	clearing()
	if s := p.show(); s.Screen != agent.ScreenClearing || s.Name != "" {
		t.Fatalf("while clearing the phone shows %+v", s)
	}
	p.kill()
	release() // of the command that outlived the program

	p.start()
	clearing()
	d = p.dial()
	if d.truth.Fence != 2 || !d.truth.Locked || d.truth.Grant != m.Digest {
		t.Fatalf("while clearing again the hello says %+v", d.truth)
	}
	d.write(end)
	release()
	if r := d.receipt(end.ID); r.Kind != gateway.Cleared || r.Truth != (gateway.Truth{Fence: 2}) {
		t.Fatalf("the release, asked again: %+v", r)
	}
	if left, err := os.ReadDir(filepath.Join(filepath.Dir(p.config), "data", "work", "sessions")); err != nil || len(left) > 0 {
		t.Fatalf("left of sessions: %v, %v", left, err)
	}
	if s := p.show(); s.Screen != agent.ScreenFree {
		t.Fatalf("the phone shows %+v", s)
	}
}

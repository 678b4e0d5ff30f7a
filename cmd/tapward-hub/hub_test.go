package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/claim"
	"tapward/sync/enrol"
	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

const configuration = "site = \"site-1\"\n[enrol]\nwalkins = true\n[metrics]\nlisten = \"127.0.0.1:9464\"\n"

// rig is a hub that runs in this process, spoken to as people do.
type rig struct {
	t      *testing.T
	config string
	log    *slog.Logger
}

// command carries out a command line and gives what it wrote.
func (r rig) command(args ...string) (string, int) {
	var out bytes.Buffer
	code := execute(r.t.Context(), append(args, "--config", r.config), &out)
	return out.String(), code
}

// must is command for what has to work.
func (r rig) must(args ...string) string {
	r.t.Helper()
	out, code := r.command(args...)
	if code != 0 {
		r.t.Fatalf("tapward-hub %s: exit code %d", strings.Join(args, " "), code)
	}
	return out
}

// start runs the hub in the folder; stop ends it and waits.
func start(t *testing.T, folder string) (r rig, stop func()) {
	t.Helper()
	r = rig{t, write(t, "data = \""+folder+"\"\n"+configuration), slog.New(slog.NewTextHandler(t.Output(), nil))}
	c, err := readConfig(r.config)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := lockFolder(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockFolder(c.Data); err == nil {
		t.Error("two hubs in one folder")
	}
	h, err := open(t.Context(), c, r.log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(h.run(ctx), h.db.Close(), lock.Close()) }()
	select {
	case <-h.broker.Ready():
	case err := <-ended:
		t.Fatalf("the hub did not start: %v", err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the hub ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return r, stop
}

// box is a box that was let in, with a log of its own.
type ward struct {
	t       *testing.T
	signer  note.Signer
	key     string
	trust   enrol.Trust
	client  *upstream.Client
	records []audit.Stored
	tree    audit.Tree
	last    uint64
}

// join has a box let in by a person who compares codes.
func join(r rig) *ward {
	r.t.Helper()
	secret, public, err := audit.NewKey(rand.Reader, "box-1")
	if err != nil {
		r.t.Fatal(err)
	}
	b := &ward{t: r.t, key: public, tree: audit.Tree{Epoch: 1}}
	if b.signer, err = note.NewSigner(secret); err != nil {
		r.t.Fatal(err)
	}
	var pin gateway.Fingerprint
	if err := pin.UnmarshalText([]byte(strings.TrimSpace(r.must("keys", "--only", "ca")))); err != nil {
		r.t.Fatal(err)
	}
	e, err := enrol.Join(r.t.Context(), r.t.TempDir(), enrol.Applicant{
		Subject: claim.Subject{Kind: claim.Box, Site: "site-1", ID: "box-1"}, Ward: "ward-1", Hub: "https://127.0.0.1:8444", Pin: pin,
		Link: gateway.Fingerprint{1}, Log: b.signer, LogKey: public,
	}, func(p enrol.Progress) {
		if p.Code != "" {
			r.confirm(p.Code)
		}
	}, r.log)
	if err != nil {
		r.t.Fatal(err)
	}
	b.trust = e.Trust()
	roots, err := b.trust.Hub.Roots()
	if err != nil {
		r.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for _, root := range roots {
		pool.AddCert(root)
	}
	b.client, err = upstream.New(upstream.Config{
		Address: uplink.Address{Site: "site-1", Box: "box-1"}, URLs: b.trust.Hub.Brokers, Roots: pool,
		Certificate: func() (*tls.Certificate, error) { return e.Certificate(), nil },
	}, r.log)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.client.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		<-ended
	})
	return b
}

// confirm is the person at the hub, who reads the code off the box.
func (r rig) confirm(code claim.Code) {
	for _, line := range strings.Split(r.must("claims"), "\n")[1:] {
		if number, _, ok := strings.Cut(line, " "); ok && strings.Contains(line, code.String()) {
			r.must("confirm", number, string(code))
		}
	}
}

// send writes n records and sends them in a bundle.
func (b *ward) send(n int) {
	b.t.Helper()
	from := len(b.records)
	for range n {
		e := audit.Entry{Record: gateway.Record{Kind: gateway.SessionOpened, Phone: "phone-1", Clinician: "c-17"}, At: time.Now(), Machine: "box-1"}
		leaf, openings, err := audit.Seal(1, b.tree.Size(), e, rand.Reader)
		if err != nil {
			b.t.Fatal(err)
		}
		sealed := audit.Sealed{Index: b.tree.Size(), Leaf: leaf, Openings: openings}
		var hashes []tlog.Hash
		b.tree, hashes = b.tree.Append(leaf)
		b.records = append(b.records, audit.Stored{Sealed: sealed, Hashes: hashes})
	}
	var part []audit.Sealed
	for _, r := range b.records[from:] {
		part = append(part, r.Sealed)
	}
	bundle, err := audit.NewBundle("box-1", 1, part, b.hashes(), b.signer)
	if err != nil {
		b.t.Fatal(err)
	}
	payload, err := bundle.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	header := map[string]string{uplink.EpochHeader: "1"}
	b.await(func(s upstream.State) bool { return s.Connected })
	b.last, err = b.client.Publish(b.t.Context(), uplink.Address{Site: "site-1", Box: "box-1"}.AuditSubject(), header, payload, b.last)
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *ward) hashes() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		var all []tlog.Hash
		for _, r := range b.records {
			all = append(all, r.Hashes...)
		}
		for _, i := range indexes {
			out = append(out, all[i])
		}
		return out, nil
	})
}

// receipt waits for the receipt of everything sent.
func (b *ward) receipt() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	verifier, err := note.NewVerifier(b.key)
	if err != nil {
		b.t.Fatal(err)
	}
	stored, err := uplink.NewStoredVerifier(b.trust.Hub.Stored)
	if err != nil {
		b.t.Fatal(err)
	}
	got := false
	err = b.client.Watch(ctx, func(m upstream.Message) {
		r, err := uplink.ParseReceipt(m.Payload, verifier, stored)
		if err == nil && r.Size == b.tree.Size() {
			got = true
			cancel()
		}
	}, upstream.Entry{Bucket: uplink.ReceiptBucket, Key: uplink.Address{Site: "site-1", Box: "box-1"}.Key()})
	if !got {
		b.t.Fatalf("no receipt of %d records: %v", b.tree.Size(), err)
	}
}

// TestHubKeepsABoxsLog is the story of one box: let in by a person, its records archived and receipted, the hub started
// anew in between, its history proven from the archive alone, its access taken.
func TestHubKeepsABoxsLog(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "hub")
	r, stop := start(t, folder)
	b := join(r)
	b.send(3)
	b.receipt()
	stop()

	r, _ = start(t, folder)
	b.send(4)
	b.receipt()

	var now status
	if err := json.Unmarshal([]byte(r.must("status", "--json")), &now); err != nil {
		t.Fatal(err)
	}
	if now.Boxes != 1 || now.Claims != 0 || now.Alarms != 0 || now.Gaps != 0 || !now.Connected || !strings.HasPrefix(now.Durability, "verified") {
		t.Errorf("status %+v", now)
	}
	if out := r.must("boxes"); !strings.Contains(out, "box-1") || !strings.Contains(out, "  7  ") {
		t.Errorf("boxes:\n%s", out)
	}
	history := readHistory(t, r.must("history", "box-1"), b.key, b.trust.Hub.Stored)
	if history.Bad != nil || history.Records != 7 || history.Openings != 7 {
		t.Errorf("history: %+v", history)
	}
	if out := r.must("log", "--box", "hub"); !strings.Contains(out, "enrol.confirmed") {
		t.Errorf("the hub's own log does not say who let the box in:\n%s", out)
	}
	own := readHistory(t, r.must("history", "hub"), strings.TrimSpace(r.must("keys", "--only", "log")), b.trust.Hub.Stored)
	if own.Bad != nil || own.Records == 0 {
		t.Errorf("the hub's own history: %+v", own)
	}

	if out := r.must("revoke", "clinician", "c-17"); !strings.Contains(out, "Revocation 1 ") {
		t.Errorf("revoke:\n%s", out)
	}
	if out := r.must("revoke", "reach", "1"); !strings.Contains(out, "box-1") || !strings.Contains(out, "NOT YET") {
		t.Errorf("a box that never reported is not deaf:\n%s", out)
	}
	if out := r.must("export", "--format", "csv"); strings.Count(out, "session.opened") != 7 {
		t.Errorf("export:\n%s", out)
	}
	if out := r.must("exports"); !strings.HasPrefix(out, "EXPORT") {
		t.Errorf("exports:\n%s", out)
	}

	if out := r.must("forget", "c-17", "--why", "the law"); !strings.Contains(out, "openings of records erased") {
		t.Errorf("forget:\n%s", out)
	}
	if history := readHistory(t, r.must("history", "box-1"), b.key, b.trust.Hub.Stored); history.Bad != nil || history.Forgotten != 7 {
		t.Errorf("history after an erasure: %+v", history)
	}
	if out := r.must("log", "--box", "hub"); !strings.Contains(out, "person.forgotten") || strings.Contains(out, "c-17") {
		t.Errorf("the hub's own log after an erasure:\n%s", out)
	}
	r.must("backup", filepath.Join(t.TempDir(), "copy.db"))

	r.must("revoke", "box", "box-1", "--why", "it was stolen")
	b.await(func(s upstream.State) bool { return !s.Connected && strings.Contains(s.Why, "revoked") })
	if out := r.must("boxes"); !strings.Contains(out, "revoked ") {
		t.Errorf("boxes:\n%s", out)
	}
	for _, refused := range [][]string{
		{"revoke", "box", "box-9", "--why", "no such box"}, {"confirm", "nothing", "12345678"}, {"lift", "99", "--why", "there is none"},
		{"history", "box-9"}, {"vacate", "box-9", "--why", "no such box"}, {"revoke", "box", "box-1", "--why", strings.Repeat("long", 300)}, {"keys", "--only", "nothing"}, {"confirm", "nothing", "123"},
	} {
		if out, code := r.command(refused...); code != 1 || out != "" {
			t.Errorf("tapward-hub %v: exit code %d, %q", refused, code, out)
		}
	}
}

// await returns when the box's connection is as wanted.
func (b *ward) await(wanted func(upstream.State) bool) {
	b.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		changed := b.client.Changed()
		if wanted(b.client.State()) {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			b.t.Fatalf("the box's connection is still %+v", b.client.State())
		}
	}
}

// readHistory checks a history as an auditor would.
func readHistory(t *testing.T, text, key, stored string) audit.Report {
	t.Helper()
	box, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	hub, err := uplink.NewStoredVerifier(stored)
	if err != nil {
		t.Fatal(err)
	}
	r, err := uplink.NewHistoryReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	v := audit.NewVerifier()
	for {
		e, err := r.Next()
		if err == io.EOF {
			return v.Finish()
		}
		if err != nil {
			t.Fatal(err)
		}
		head, _, err := uplink.OpenStored(e.Stored, box, hub)
		if err != nil {
			t.Fatal(err)
		}
		v.Pruned(head)
		if _, err := v.Epoch(e.Epoch, r.Records(e)); err != nil {
			t.Fatal(err)
		}
	}
}

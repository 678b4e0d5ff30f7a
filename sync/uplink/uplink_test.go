package uplink_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

var address = uplink.Address{Site: "site-1", Box: "box-1"}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keys are those of a box and a hub, made of fixed bytes: published, and good for nothing but tests.
type keys struct {
	box            note.Signer
	boxVerifier    note.Verifier
	boxPublic      string
	stored         note.Signer
	storedVerifier note.Verifier
	storedPublic   string
	release        ed25519.PrivateKey
}

func fixed(b byte) *bytes.Reader { return bytes.NewReader(bytes.Repeat([]byte{b}, 64)) }

func newKeys(t testing.TB) (k keys) {
	t.Helper()
	secret, public, err := audit.NewKey(fixed(1), address.Box)
	must(t, err)
	k.boxPublic = public
	k.box, err = note.NewSigner(secret)
	must(t, err)
	k.boxVerifier, err = note.NewVerifier(public)
	must(t, err)
	secret, k.storedPublic, err = note.GenerateKey(fixed(2), "tapward-hub/site-1/stored")
	must(t, err)
	k.stored, err = uplink.NewStoredSigner(secret)
	must(t, err)
	k.storedVerifier, err = uplink.NewStoredVerifier(k.storedPublic)
	must(t, err)
	k.release = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, ed25519.SeedSize))
	return k
}

func (k keys) public() ed25519.PublicKey { return k.release.Public().(ed25519.PublicKey) }

// strangers are keys of nobody here.
func strangers(t testing.TB) (k keys) {
	t.Helper()
	k = newKeys(t)
	secret, public, err := audit.NewKey(rand.Reader, address.Box)
	must(t, err)
	k.box, err = note.NewSigner(secret)
	must(t, err)
	k.boxVerifier, err = note.NewVerifier(public)
	must(t, err)
	secret, public, err = note.GenerateKey(rand.Reader, "tapward-hub/site-1/stored")
	must(t, err)
	k.stored, err = uplink.NewStoredSigner(secret)
	must(t, err)
	k.storedVerifier, err = uplink.NewStoredVerifier(public)
	must(t, err)
	_, k.release, err = ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return k
}

func TestAddresses(t *testing.T) {
	if have, err := uplink.AuditAddress(address.AuditSubject()); err != nil || have != address {
		t.Errorf("have %v, %v", have, err)
	}
	for _, bad := range []string{
		"", "tapward.audit.", "tapward.audit.site-1", "tapward.audit.site-1.", "tapward.audit..box-1", "tapward.audit.site-1.box-1.more",
		"tapward.audit.*.box-1", "tapward.audit.site-1.>", "tapward.other.site-1.box-1", "x.tapward.audit.site-1.box-1",
	} {
		if have, err := uplink.AuditAddress(bad); err == nil {
			t.Errorf("%q is of %v", bad, have)
		}
	}
}

// TestPermissionsNameNobodyElse: nothing that a box may do has a wildcard beyond its own inbox, or another's name.
func TestPermissionsNameNobodyElse(t *testing.T) {
	p := uplink.PermissionsOf(address, "icu")
	for _, subject := range append(append([]string{}, p.Publish...), p.Subscribe...) {
		if wild := strings.ContainsAny(subject, "*>"); wild && subject != address.Inbox()+".>" {
			t.Errorf("%s has a wildcard", subject)
		}
		if !strings.Contains(subject, "site-1") {
			t.Errorf("%s is of no site", subject)
		}
	}
	other := uplink.PermissionsOf(uplink.Address{Site: "site-1", Box: "box-10"}, "icu")
	for _, subject := range p.Publish {
		for _, theirs := range other.Publish {
			if subject == theirs && !strings.Contains(subject, uplink.BucketStream(uplink.ReleaseBucket)) {
				t.Errorf("two boxes may publish to %s", subject)
			}
		}
	}
	for _, subject := range p.Publish {
		if strings.Contains(subject, "CONSUMER") || strings.Contains(subject, "STREAM.") {
			t.Errorf("a box may ask %s", subject)
		}
	}
	for _, pair := range [][2]uplink.Address{{address, {Site: "site-1", Box: "box-10"}}, {{Site: "a_b", Box: "c"}, {Site: "a", Box: "b_c"}}} {
		if strings.HasPrefix(pair[1].Inbox()+".", pair[0].Inbox()+".") {
			t.Errorf("%s hears what is for %s", pair[0], pair[1])
		}
	}
}

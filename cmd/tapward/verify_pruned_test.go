package main

import (
	"bytes"
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
	"tapward/gateway/store"
	"tapward/sync/uplink"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// prunedWard is a database of 20 records, of which the hospital has 15 and the box but six, and the verifier keys of the
// box's log and of the hospital's receipts.
func prunedWard(t *testing.T) (path, box, hub string) {
	path = filepath.Join(t.TempDir(), store.DatabaseFile)
	secret, box, err := audit.NewKey(rand.Reader, "box-5b")
	must(t, err)
	signer, err := note.NewSigner(secret)
	must(t, err)
	s, err := store.Open(t.Context(), store.Config{Path: path, Create: true, Box: "box-5b", Signer: signer})
	must(t, err)
	for n := range 20 {
		at := time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC)
		_, err := s.Commit(t.Context(), session.State{Box: "box-5b"}, []audit.Entry{{At: at, Clock: audit.Synchronised, Record: gateway.Record{Kind: gateway.BoxStarted}}})
		must(t, err)
	}
	root, err := tlog.TreeHash(15, s.Hashes(t.Context(), 1))
	must(t, err)
	checkpoint, err := audit.SignCheckpoint("box-5b", audit.Head{Epoch: 1, Size: 15, Root: gateway.Digest(root)}, signer)
	must(t, err)
	verifier, err := note.NewVerifier(box)
	must(t, err)
	cosigner, hub := newHubKey(t)
	stored, err := uplink.SignStored(checkpoint, verifier, cosigner)
	must(t, err)
	must(t, s.KeepReceipt(t.Context(), 1, 15, stored))
	_, pruned, err := s.Prune(t.Context(), 1, 0, 24*time.Hour, 100)
	must(t, err)
	if pruned != 14 {
		t.Fatalf("pruned %d", pruned)
	}
	must(t, s.Close())
	return path, box, hub
}

func newHubKey(t *testing.T) (note.Signer, string) {
	secret, public, err := note.GenerateKey(rand.Reader, "tapward-hub/site-1/stored")
	must(t, err)
	cosigner, err := uplink.NewStoredSigner(secret)
	must(t, err)
	return cosigner, public
}

func TestVerifyOfAPrunedLog(t *testing.T) {
	path, box, hub := prunedWard(t)
	_, other := newHubKey(t)
	for name, c := range map[string]struct {
		key, hub   string
		want, lack []string
		fails      string
	}{
		"with both keys": {box, hub, []string{
			"epoch 1: 20 records", "pruned below 15, receipted", "14 records pruned from the box: the hospital signed that it has them",
			"what 14 records said that the box has pruned",
		}, []string{"--hub-key", "cut short"}, ""},
		"without the hospital's": {box, "", []string{"pruned below 15, receipted", "the verifier key of its receipts was not given (--hub-key)"}, []string{"signed that it has them"}, ""},
		"with another's":         {box, other, nil, nil, "the key of --hub-key did not sign it"},
		"without the box's":      {"", hub, nil, nil, "needs --key too"},
		"with no key":            {box, "made-up", nil, nil, "read --hub-key"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := verifyCommand{Database: path, Key: c.key, HubKey: c.hub}.Run(t.Context(), terminal{out: &out})
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("error %v, want %q", err, c.fails)
				}
				return
			}
			must(t, err)
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, out.String())
				}
			}
			for _, lack := range c.lack {
				if strings.Contains(out.String(), lack) {
					t.Errorf("it says %q:\n%s", lack, out.String())
				}
			}
		})
	}
}

package uplink_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

var update = flag.Bool("update", false, "write docs/uplink-vectors anew; a change of published bytes needs a new version of the format")

const vectorFolder = "../../docs/uplink-vectors"

// vectors are the published examples: the keys, and for each message its bytes and what stands in them. The keys' secret
// halves are made of fixed bytes and good for nothing else.
type vectors struct {
	LogKey     string          `json:"log_verifier_key"`
	StoredKey  string          `json:"stored_verifier_key"`
	ReleaseKey string          `json:"release_key_hex"` // Ed25519
	Release    releaseVector   `json:"release"`
	Receipts   []receiptVector `json:"receipts"`
	Bundles    []bundleVector  `json:"bundles"`
}

type releaseVector struct {
	Message string         `json:"message"` // the DSSE envelope as it is published
	Says    uplink.Release `json:"says"`
}

type receiptVector struct {
	About   string         `json:"about"`
	Message string         `json:"message"`
	Says    uplink.Receipt `json:"says"`
}

type bundleVector struct {
	Subject string            `json:"subject"`
	Header  map[string]string `json:"header"`
	Message string            `json:"message_hex"` // CBOR
	From    int64             `json:"from"`
	End     int64             `json:"end"`
	Root    string            `json:"tree_root_hex"` // of the log up to End
	Leaves  []string          `json:"leaves_hex"`
	Proof   []string          `json:"proof_base64"`
}

// hashes are a log's stored hashes.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = h[index]
	}
	return out, nil
}

// smallLog is a log of five records.
func smallLog(t *testing.T) (stored hashes, records []audit.Sealed) {
	log := audit.Tree{Epoch: 1}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for n := range int64(5) {
		entry := audit.Entry{At: at.Add(time.Duration(n) * time.Second), Clock: audit.Synchronised, Boot: 1, Machine: string(address.Box), Record: gateway.Record{
			Kind: gateway.TapRefused, Reader: "door", Reasons: []gateway.Reason{gateway.UnknownBadge}, Words: "made-up words",
		}}
		leaf, openings, err := audit.Seal(1, n, entry, fixed(byte(n)))
		must(t, err)
		next, completed := log.Append(leaf)
		log, stored, records = next, append(stored, completed...), append(records, audit.Sealed{Index: n, Leaf: leaf, Openings: openings})
	}
	return stored, records
}

func makeVectors(t *testing.T) (v vectors) {
	k := newKeys(t)
	v.LogKey, v.StoredKey, v.ReleaseKey = k.boxPublic, k.storedPublic, hex.EncodeToString(k.public())
	in, err := uplink.SignRelease(release(), k.release)
	must(t, err)
	v.Release = releaseVector{string(in), release()}
	stored, records := smallLog(t)
	var last audit.Bundle
	for _, part := range [][2]int{{0, 3}, {3, 5}} {
		b, err := audit.NewBundle(address.Box, 1, records[part[0]:part[1]], stored, k.box)
		must(t, err)
		v.Bundles = append(v.Bundles, describe(t, b, k))
		last = b
	}
	for _, r := range []receiptVector{
		{About: "two bundles are stored", Says: uplink.Receipt{Epoch: 1, Size: 5, Stored: last.Checkpoint}},
		{About: "a hub that lost everything asks from the beginning", Says: uplink.Receipt{Epoch: 1, Resend: true}},
		{About: "nothing more is taken", Says: uplink.Receipt{Epoch: 1, Refused: "the log was forked"}},
	} {
		if r.Says.Size > 0 {
			r.Says.Stored, err = uplink.SignStored(r.Says.Stored, k.boxVerifier, k.stored)
			must(t, err)
		}
		in, err := r.Says.Encode()
		must(t, err)
		r.Message = string(in)
		v.Receipts = append(v.Receipts, r)
	}
	return v
}

func describe(t *testing.T, b audit.Bundle, k keys) bundleVector {
	in, err := b.Encode()
	must(t, err)
	head, _, err := b.Open(k.boxVerifier)
	must(t, err)
	v := bundleVector{
		Subject: address.AuditSubject(), Message: hex.EncodeToString(in), From: b.From(), End: b.End(), Root: head.Root.String(), Proof: []string{},
		Header: map[string]string{uplink.EpochHeader: "1", uplink.FromHeader: fmt.Sprint(b.From()), uplink.EndHeader: fmt.Sprint(b.End())},
	}
	for _, r := range b.Records {
		v.Leaves = append(v.Leaves, hex.EncodeToString(r.Leaf))
	}
	for _, h := range b.Proof {
		v.Proof = append(v.Proof, base64.StdEncoding.EncodeToString(h[:]))
	}
	return v
}

// TestPublishedVectors makes the published messages anew and finds the same bytes. A cosignature says when it was made, so
// that of it only what was signed is compared.
func TestPublishedVectors(t *testing.T) {
	path := filepath.Join(vectorFolder, "vectors.json")
	made := makeVectors(t)
	if *update {
		text, err := json.MarshalIndent(made, "", "  ")
		must(t, err)
		must(t, os.WriteFile(path, append(text, '\n'), 0o644))
	}
	published := readVectors(t)
	for i := range made.Receipts {
		have, want := &published.Receipts[i], &made.Receipts[i]
		signed := func(r *receiptVector) string { text, _, _ := strings.Cut(r.Says.Stored, "\n\n"); return text }
		if signed(have) != signed(want) || have.Says.Size != want.Says.Size {
			t.Errorf("%s: another checkpoint", have.About)
		}
		have.Message, have.Says.Stored = want.Message, want.Says.Stored
	}
	if !reflect.DeepEqual(published, made) {
		t.Error("the bytes made now differ from those published: boxes and hubs of two releases could no longer speak")
	}
}

func readVectors(t *testing.T) (v vectors) {
	text, err := os.ReadFile(filepath.Join(vectorFolder, "vectors.json"))
	must(t, err)
	must(t, json.Unmarshal(text, &v))
	return v
}

// TestPublishedVectorsOpen reads the published messages as a stranger does.
func TestPublishedVectorsOpen(t *testing.T) {
	v := readVectors(t)
	box, err := note.NewVerifier(v.LogKey)
	must(t, err)
	hub, err := uplink.NewStoredVerifier(v.StoredKey)
	must(t, err)
	key, err := hex.DecodeString(v.ReleaseKey)
	must(t, err)
	if r, err := uplink.OpenRelease([]byte(v.Release.Message), key); err != nil || !reflect.DeepEqual(r, v.Release.Says) {
		t.Errorf("release: %+v, %v", r, err)
	}
	for _, r := range v.Receipts {
		if have, err := uplink.ParseReceipt([]byte(r.Message), box, hub); err != nil || have != r.Says {
			t.Errorf("receipt, %s: %+v, %v", r.About, have, err)
		}
	}
	tree := audit.Tree{Epoch: 1}
	for _, published := range v.Bundles {
		in, err := hex.DecodeString(published.Message)
		must(t, err)
		b, err := audit.DecodeBundle(in)
		must(t, err)
		head, _, err := b.Open(box)
		must(t, err)
		next, added, err := b.Extend(tree, head)
		if err != nil || len(added) != len(published.Leaves) || next.Head().Root.String() != published.Root || next.Size() != published.End {
			t.Errorf("bundle from %d: %d added, %+v, %v", published.From, len(added), next.Head(), err)
		}
		tree = next
		for i, r := range b.Records {
			if hex.EncodeToString(r.Leaf) != published.Leaves[i] {
				t.Errorf("record %d is another", r.Index)
			}
		}
	}
}

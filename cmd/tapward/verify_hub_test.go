package main

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// hospital is a box's archived history with everybody's keys.
type hospital struct {
	t                                 *testing.T
	box, stored, log, witness         note.Signer
	boxKey, storedKey, logKey, seenBy string
	records                           []audit.Stored
	tree                              audit.Tree
}

func newHospital(t *testing.T) *hospital {
	t.Helper()
	h := &hospital{t: t, tree: audit.Tree{Epoch: 1}}
	secret, public, err := audit.NewKey(rand.Reader, "box-1")
	must(t, err)
	h.boxKey = public
	h.box, err = note.NewSigner(secret)
	must(t, err)
	cosigner := func(name string) (note.Signer, string) {
		secret, public, err := note.GenerateKey(rand.Reader, name)
		must(t, err)
		s, err := uplink.NewStoredSigner(secret)
		must(t, err)
		return s, public
	}
	h.stored, h.storedKey = cosigner("hub/stored")
	h.witness, h.seenBy = cosigner("witness.example")
	secret, h.logKey, err = note.GenerateKey(rand.Reader, "hub/accepted")
	must(t, err)
	h.log, err = note.NewSigner(secret)
	must(t, err)
	for i := range 10 {
		e := audit.Entry{Record: gateway.Record{Kind: gateway.SessionOpened, Clinician: "c-17"}, Machine: "box-1"}
		leaf, openings, err := audit.Seal(1, int64(i), e, rand.Reader)
		must(t, err)
		var hashes []tlog.Hash
		h.tree, hashes = h.tree.Append(leaf)
		h.records = append(h.records, audit.Stored{Sealed: audit.Sealed{Index: int64(i), Leaf: leaf, Openings: openings}, Hashes: hashes})
	}
	return h
}

func (h *hospital) checkpoint(size int64) string {
	h.t.Helper()
	tree := audit.Tree{Epoch: 1}
	for _, r := range h.records[:size] {
		tree, _ = tree.Append(r.Leaf)
	}
	text, err := audit.SignCheckpoint("box-1", tree.Head(), h.box)
	must(h.t, err)
	return text
}

// witnessed is the proof that the box's checkpoint at a size is the one entry of the hub's log.
func (h *hospital) witnessed(size int64) []byte {
	h.t.Helper()
	entry := uplink.Accepted{Site: "site-1", Checkpoint: h.checkpoint(size)}
	root := tlog.RecordHash(entry.Encode())
	text := "hub/accepted\n1\n" + root.String() + "\n"
	signed, err := note.Sign(&note.Note{Text: text}, h.log, h.witness)
	must(h.t, err)
	return uplink.Witnessed{Accepted: entry, Signed: string(signed)}.Encode()
}

// history is the file, after change had its way with what goes into it.
func (h *hospital) history(change func(*uplink.HistoryEpoch, []audit.Stored)) string {
	h.t.Helper()
	verifier, err := note.NewVerifier(h.boxKey)
	must(h.t, err)
	stored, err := uplink.SignStored(h.checkpoint(10), verifier, h.stored)
	must(h.t, err)
	e := uplink.HistoryEpoch{Epoch: 1, Size: 10, Stored: stored, Witnessed: h.witnessed(8)}
	records := make([]audit.Stored, len(h.records))
	copy(records, h.records)
	if change != nil {
		change(&e, records)
	}
	var out bytes.Buffer
	w, err := uplink.NewHistoryWriter(&out, uplink.Address{Site: "site-1", Box: "box-1"})
	must(h.t, err)
	must(h.t, w.Epoch(e, func(yield func(audit.Stored, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}))
	return out.String()
}

func (h *hospital) check(text string) (historyFinding, string) {
	h.t.Helper()
	keys, err := verifyCommand{Key: h.boxKey, HubKey: h.storedKey, HubLog: h.logKey, Witness: []string{h.seenBy}}.hubKeys()
	must(h.t, err)
	f, err := checkHistory(strings.NewReader(text), keys)
	must(h.t, err)
	var out bytes.Buffer
	f.print(&out, keys)
	return f, out.String()
}

func TestHistoryIsProvenFromTheArchiveAlone(t *testing.T) {
	h := newHospital(t)
	f, said := h.check(h.history(nil))
	if !f.OK || f.Records != 10 || f.Openings != 10 || f.Epochs[0].Witnessed != 8 || len(f.Epochs[0].By) != 1 {
		t.Errorf("found %+v", f)
	}
	for _, want := range []string{"10 records in 1 epoch", "the first 8 were seen by witness.example", "did not change 2 records that no witness covers"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
}

func TestHistoryWithoutABodyIsProvenByItsHashes(t *testing.T) {
	h := newHospital(t)
	f, said := h.check(h.history(func(_ *uplink.HistoryEpoch, r []audit.Stored) { r[4].Leaf, r[4].Openings = nil, nil }))
	if !f.OK || f.Expired != 1 || !strings.Contains(said, "whose bodies went with the retention") {
		t.Errorf("found %+v\n%s", f, said)
	}
}

// TestChangedHistoryIsFound: whatever the hospital changes afterwards, with all its own keys, is found.
func TestChangedHistoryIsFound(t *testing.T) {
	h, other := newHospital(t), newHospital(t)
	for name, change := range map[string]func(*uplink.HistoryEpoch, []audit.Stored){
		"a leaf": func(_ *uplink.HistoryEpoch, r []audit.Stored) {
			r[3].Leaf = bytes.Clone(r[3].Leaf)
			r[3].Leaf[len(r[3].Leaf)-1] ^= 1
		},
		"an opening": func(_ *uplink.HistoryEpoch, r []audit.Stored) {
			o := r[3].Openings[0]
			o.Value = []byte("c-99")
			r[3].Openings = []audit.Opening{o}
		},
		"a record of another box's": func(_ *uplink.HistoryEpoch, r []audit.Stored) { r[3] = other.records[3] },
		"a receipt cut short":       func(e *uplink.HistoryEpoch, _ []audit.Stored) { e.Size = 9 },
		"another box's receipt":     func(e *uplink.HistoryEpoch, _ []audit.Stored) { e.Stored = other.checkpoint(10) },
		"another hub's proof":       func(e *uplink.HistoryEpoch, _ []audit.Stored) { e.Witnessed = other.witnessed(8) },
		"no proof at all":           func(e *uplink.HistoryEpoch, _ []audit.Stored) { e.Witnessed = []byte("none") },
	} {
		f, said := h.check(h.history(change))
		if f.OK || f.Wrong == "" || !strings.Contains(said, "WRONG") {
			t.Errorf("%s: found %+v", name, f)
		}
	}
}

func TestHistoryNeedsKeys(t *testing.T) {
	h := newHospital(t)
	for name, c := range map[string]verifyCommand{
		"none":             {},
		"no receipt's":     {Key: h.boxKey},
		"no log's":         {Key: h.boxKey, HubKey: h.storedKey, Witness: []string{h.seenBy}},
		"half a key":       {Key: h.boxKey[:20], HubKey: h.storedKey},
		"a witness's half": {Key: h.boxKey, HubKey: h.storedKey, HubLog: h.logKey, Witness: []string{"w"}},
	} {
		if _, err := c.hubKeys(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

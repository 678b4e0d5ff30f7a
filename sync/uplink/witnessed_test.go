package uplink_test

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/formats/note"
	sumdb "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// witnessedLog is a hub's log of boxes' checkpoints, with its keys.
type witnessedLog struct {
	box, hub, witness, stranger sumdb.Verifier
	head                        audit.Head
	proof                       uplink.Witnessed
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func newWitnessedLog(entries, index int) witnessedLog {
	var l witnessedLog
	secret, public, err := audit.NewKey(rand.Reader, "box-1")
	check(err)
	boxSigner, err := sumdb.NewSigner(secret)
	check(err)
	l.box, err = sumdb.NewVerifier(public)
	check(err)
	secret, public, err = sumdb.GenerateKey(rand.Reader, "hub/north/log")
	check(err)
	hubSigner, err := sumdb.NewSigner(secret)
	check(err)
	l.hub, err = sumdb.NewVerifier(public)
	check(err)
	secret, public, err = sumdb.GenerateKey(rand.Reader, "witness.example")
	check(err)
	witnessSigner, err := note.NewSignerForCosignatureV1(secret)
	check(err)
	l.witness, err = note.NewVerifierForCosignatureV1(public)
	check(err)
	_, public, err = sumdb.GenerateKey(rand.Reader, "stranger.example")
	check(err)
	l.stranger, err = note.NewVerifierForCosignatureV1(public)
	check(err)

	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	for i := range entries {
		head := audit.Head{Epoch: 1, Size: int64(i + 1)}
		head.Root[0] = byte(i)
		checkpoint, err := audit.SignCheckpoint("box-1", head, boxSigner)
		check(err)
		a := uplink.Accepted{Site: "north", Checkpoint: checkpoint}
		if i == index {
			l.head, l.proof = head, uplink.Witnessed{Accepted: a, Index: int64(i)}
		}
		stored, err := tlog.StoredHashes(int64(i), a.Encode(), reader)
		check(err)
		hashes = append(hashes, stored...)
	}
	root, err := tlog.TreeHash(int64(entries), reader)
	check(err)
	l.proof.Proof, err = tlog.ProveRecord(int64(entries), int64(index), reader)
	check(err)
	text := log.Checkpoint{Origin: "hub/north/log", Size: uint64(entries), Hash: root[:]}.Marshal()
	signed, err := sumdb.Sign(&sumdb.Note{Text: string(text)}, hubSigner, witnessSigner)
	check(err)
	l.proof.Signed = string(signed)
	return l
}

func TestAWitnessedCheckpointIsProvenOffline(t *testing.T) {
	for _, c := range [][2]int{{1, 0}, {2, 1}, {7, 3}, {100, 99}} {
		l := newWitnessedLog(c[0], c[1])
		w, err := uplink.ParseWitnessed(l.proof.Encode())
		if err != nil {
			t.Fatal(err)
		}
		head, seen, err := w.Verify(l.box, l.hub, []sumdb.Verifier{l.stranger, l.witness}, 1)
		if err != nil || head != l.head || len(seen) != 1 || seen[0].Witness != "witness.example" || seen[0].At.IsZero() {
			t.Errorf("entry %d of %d: %+v, %+v, %v", c[1], c[0], head, seen, err)
		}
	}
}

func TestWhatIsNotProven(t *testing.T) {
	l, other := newWitnessedLog(9, 4), newWitnessedLog(9, 4)
	witnesses := []sumdb.Verifier{l.witness}
	changed := func(change func(*uplink.Witnessed)) uplink.Witnessed {
		w := l.proof
		w.Proof = slices.Clone(w.Proof)
		change(&w)
		return w
	}
	for name, c := range map[string]struct {
		proof     uplink.Witnessed
		box, hub  sumdb.Verifier
		witnesses []sumdb.Verifier
		least     int
		words     string
	}{
		"another box's key":       {l.proof, other.box, l.hub, witnesses, 1, "open checkpoint"},
		"another hub's key":       {l.proof, l.box, other.hub, witnesses, 1, "the hub's checkpoint"},
		"no known witness":        {l.proof, l.box, l.hub, []sumdb.Verifier{l.stranger}, 1, "0 of the known witnesses"},
		"one witness twice":       {l.proof, l.box, l.hub, []sumdb.Verifier{l.witness, l.stranger}, 2, "1 of the known witnesses"},
		"another entry":           {changed(func(w *uplink.Witnessed) { w.Accepted = other.proof.Accepted }), other.box, l.hub, witnesses, 1, "is not entry 4"},
		"another site":            {changed(func(w *uplink.Witnessed) { w.Site = "south" }), l.box, l.hub, witnesses, 1, "is not entry 4"},
		"another place":           {changed(func(w *uplink.Witnessed) { w.Index = 5 }), l.box, l.hub, witnesses, 1, "is not entry 5"},
		"beyond the log":          {changed(func(w *uplink.Witnessed) { w.Index = 9 }), l.box, l.hub, witnesses, 1, "is not entry 9"},
		"below zero":              {changed(func(w *uplink.Witnessed) { w.Index = -1 }), l.box, l.hub, witnesses, 1, "no size or root"},
		"a changed proof":         {changed(func(w *uplink.Witnessed) { w.Proof[1][3]++ }), l.box, l.hub, witnesses, 1, "is not entry 4"},
		"a proof that is missing": {changed(func(w *uplink.Witnessed) { w.Proof = nil }), l.box, l.hub, witnesses, 1, "is not entry 4"},
		"another hub's log":       {changed(func(w *uplink.Witnessed) { w.Signed = other.proof.Signed }), l.box, l.hub, witnesses, 1, "the hub's checkpoint"},
	} {
		if _, _, err := c.proof.Verify(c.box, c.hub, c.witnesses, c.least); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want words %q", name, err, c.words)
		}
	}
}

func FuzzParseWitnessed(f *testing.F) {
	f.Add(newWitnessedLog(9, 4).proof.Encode())
	f.Add(newWitnessedLog(1, 0).proof.Encode())
	f.Add([]byte("c2sp.org/tlog-proof@v1\nindex 0\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		w, err := uplink.ParseWitnessed(in)
		if err != nil {
			return
		}
		if string(w.Encode()) != string(in) {
			t.Errorf("%q is read as %q", in, w.Encode())
		}
		if _, err := uplink.ParseAccepted(w.Accepted.Encode()); err != nil {
			t.Errorf("its entry: %v", err)
		}
	})
}

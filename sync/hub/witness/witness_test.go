package witness_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/witness"
	"tapward/sync/uplink"
)

const name = "tapward-hub/north/log"

// TestWitnessesSeeWhatWasAccepted proves boxes' checkpoints offline, against two real witnesses.
func TestWitnessesSeeWhatWasAccepted(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		signer, verifier, public := newKey(name)
		first, second := startWitness(t, "first.example", map[string]string{name: public}), startWitness(t, "second.example", map[string]string{name: public})
		h := newHub(t, url, signer, first, second)
		one, two := newBox("box-1"), newBox("box-2")
		one.archive(t, h.archive, 3)
		h.witnessed(t, 1)
		for range 5 {
			two.archive(t, h.archive, 10)
			one.archive(t, h.archive, 2)
		}
		h.witnessed(t, 11)

		witnesses := []note.Verifier{first.verifier, second.verifier}
		for _, c := range []struct {
			box        *box
			size, want int64
		}{{one, 0, 13}, {one, 1, 3}, {one, 4, 5}, {two, 10, 10}, {two, 11, 20}, {two, 0, 50}} {
			w, err := h.Prove(t.Context(), c.box.origin, c.size)
			if err != nil {
				t.Fatal(err)
			}
			w, err = uplink.ParseWitnessed(w.Encode())
			must(err)
			head, seen, err := w.Verify(c.box.verifier, verifier, witnesses, 2)
			if err != nil || head.Size != c.want || len(seen) != 2 || seen[0].Witness != "first.example" || seen[0].At.IsZero() {
				t.Errorf("a checkpoint for %d: head %+v, seen %+v, %v; want one at %d", c.size, head, seen, err, c.want)
			}
			independently(t, w)
		}
		if _, err := h.Prove(t.Context(), one.origin, 14); !errors.Is(err, witness.ErrNotWitnessed) {
			t.Errorf("a record that is not archived: %v", err)
		}

		// Killed witnesses remember, and a hub that starts anew goes on.
		first.kill()
		first.start()
		h = newHub(t, url, signer, first, second)
		one.archive(t, h.archive, 7)
		h.witnessed(t, 12)
	})
}

// independently checks the inclusion with somebody else's code.
func independently(t *testing.T, w uplink.Witnessed) {
	t.Helper()
	var tree log.Checkpoint
	if _, err := tree.Unmarshal([]byte(w.Signed)); err != nil {
		t.Fatal(err)
	}
	var hashes [][]byte
	for _, h := range w.Proof {
		hashes = append(hashes, h[:])
	}
	err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(w.Index), tree.Size, rfc6962.DefaultHasher.HashLeaf(w.Accepted.Encode()), hashes, tree.Hash)
	if err != nil {
		t.Errorf("merkle: %v", err)
	}
}

// TestAnotherHistoryIsNotCosigned: a hub whose database was put back, or changed, is told so and signs nothing new.
func TestAnotherHistoryIsNotCosigned(t *testing.T) {
	signer, _, public := newKey(name)
	renewed, _, renewedKey := newKey(name + "/2")
	p := startWitness(t, "first.example", map[string]string{name: public, name + "/2": renewedKey})
	url := databasetest.SQLite(t)
	h := newHub(t, url, signer, p)
	b := newBox("box-1")
	b.archive(t, h.archive, 5)
	b.archive(t, h.archive, 5)
	h.witnessed(t, 2)
	backup := filepath.Join(t.TempDir(), "last-night.db")
	must(h.db.Backup(t.Context(), backup))
	c := *b
	b.archive(t, h.archive, 5)
	h.witnessed(t, 3)

	restored := newHub(t, "sqlite:"+backup, signer, p)
	restored.until(t, "the witness's no", func() bool { return restored.States()[0].Ended })
	c.archive(t, restored.archive, 6) // another history
	c.archive(t, restored.archive, 6)
	restored.until(t, "the witness's no", func() bool { s := restored.States()[0]; return s.Ended && s.Trouble != "" })
	if _, cosigned, err := restored.Newest(t.Context()); err != nil || cosigned != 2 {
		t.Errorf("cosigned at %d, %v", cosigned, err)
	}
	// A log of a new name begins with all that is archived.
	again := newHub(t, "sqlite:"+backup, renewed, p)
	again.witnessed(t, 4)

	// Somebody rewrites an entry in the database.
	if _, err := h.db.ExecContext(t.Context(), `UPDATE hublog_entry SET hashes = $1 WHERE idx = 1`, make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	rewritten := newHub(t, url, signer, p)
	b.archive(t, rewritten.archive, 5)
	rewritten.until(t, "the witness's no", func() bool { return rewritten.States()[0].Ended })
}

// TestTroubleWithAWitnessIsSaidInWords asks real witnesses that know no such log, or another key of it, one that is away,
// and answers of the specification that this one never gives.
func TestTroubleWithAWitnessIsSaidInWords(t *testing.T) {
	signer, _, public := newKey(name)
	_, _, other := newKey(name)
	stranger, wrong := startWitness(t, "first.example", map[string]string{"another/log": other}), startWitness(t, "second.example", map[string]string{name: other})
	right := startWitness(t, "third.example", map[string]string{name: public})
	words := []string{"whether it knows a log", "whether it knows a log", "reach the witness", "cosignature"}
	peers := []*peer{stranger, wrong, {url: "http://" + freeAddress(), key: stranger.key}, {url: right.url, key: stranger.key}}
	for _, answer := range []struct {
		status int
		body   string
		words  string
	}{
		{http.StatusNotFound, "", "does not know a log"},
		{http.StatusForbidden, "", "knows another key"},
		{http.StatusTooManyRequests, "", "429"},
		{http.StatusConflict, "many\n", "another size"},
		{http.StatusConflict, "-1\n", "another size"},
		{http.StatusConflict, "0\n", "again and again"},
		{http.StatusOK, "", "cosignature"},
		{http.StatusOK, strings.Repeat("x", 1<<20), "cosignature"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(answer.status)
			_, _ = io.WriteString(w, answer.body)
		}))
		t.Cleanup(s.Close)
		peers, words = append(peers, &peer{url: s.URL, key: stranger.key}), append(words, answer.words)
	}
	h := newHub(t, databasetest.SQLite(t), signer, peers...)
	newBox("box-1").archive(t, h.archive, 5)
	h.until(t, "the trouble", func() bool {
		for i, s := range h.States() {
			if !strings.Contains(s.Trouble, words[i]) || s.Ended || s.Size != 0 {
				return false
			}
		}
		return true
	})
	if checkpoint, size, err := h.Newest(t.Context()); err != nil || checkpoint != "" || size != 0 {
		t.Errorf("cosigned: %q at %d, %v", checkpoint, size, err)
	}
}

// TestTwoHubsKeepOneLog lets two hubs with one database race.
func TestTwoHubsKeepOneLog(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		signer, verifier, public := newKey(name)
		p := startWitness(t, "first.example", map[string]string{name: public})
		h, other := newHub(t, url, signer, p), newHub(t, url, signer, p)
		b := newBox("box-1")
		for range 30 {
			b.archive(t, h.archive, 2)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			other.until(t, "the other's cosignature", func() bool { _, size, err := other.Newest(t.Context()); return err == nil && size == 30 })
		}()
		h.until(t, "the cosignature", func() bool { _, size, err := h.Newest(t.Context()); return err == nil && size == 30 })
		<-done
		w, err := h.Prove(t.Context(), b.origin, 0)
		must(err)
		if head, _, err := w.Verify(b.verifier, verifier, []note.Verifier{p.verifier}, 1); err != nil || head != b.tree.Head() {
			t.Errorf("head %+v, %v", head, err)
		}
	})
}

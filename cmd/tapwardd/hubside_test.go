package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/store"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/enrol"
	"tapward/sync/hub/enrol/embedded"
)

// testHub is a hub in a process of its own, killed and started again as one likes, and the test's look into its folder.
type testHub struct {
	t       testing.TB
	seed    hubSeed
	ca      *embedded.CA
	boxes   *enrol.Registrar // for what a person does there
	archive *archive.Archive
	running *process

	mu       sync.Mutex
	archived map[uint32]int64
	reported uint64        // version of the revocations in force on the box, as it says
	grew     chan struct{} // closed at the next append or report
}

func newHub(t testing.TB) *testHub {
	t.Helper()
	h := &testHub{t: t, archived: map[uint32]int64{}, grew: make(chan struct{})}
	_, release, err := ed25519.GenerateKey(rand.Reader)
	h.must(err)
	secret, public, err := note.GenerateKey(rand.Reader, "tapward-hub/"+hubSite+"/stored")
	h.must(err)
	h.seed = hubSeed{Folder: t.TempDir(), Release: release, Secret: secret, Name: public}
	h.ca, err = h.seed.ca()
	h.must(err)
	db, err := h.seed.database(t.Context())
	h.must(err)
	t.Cleanup(func() {
		h.kill()
		db.Close()
	})
	h.boxes, err = h.seed.registrar(db, h.ca, nil)
	h.must(err)
	h.archive = archive.New(db, archive.Retention{}, slog.New(slog.DiscardHandler))
	return h
}

func (h *testHub) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// config is what a box is told of the hub before it knows it.
func (h *testHub) config() *Uplink {
	return &Uplink{Site: hubSite, Hub: "https://" + hubEnrols, CA: h.ca.Fingerprint()}
}

func (h *testHub) start() {
	h.t.Helper()
	seed, err := json.Marshal(h.seed)
	h.must(err)
	said, err := os.OpenFile(h.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	h.must(err)
	defer said.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), hubEnv+"="+string(seed))
	cmd.Stderr = said
	out, in, err := os.Pipe()
	h.must(err)
	defer in.Close()
	cmd.Stdout = in
	h.running, err = spawn(cmd)
	h.must(err)
	go h.hear(out)
}

func (h *testHub) logPath() string { return filepath.Join(h.seed.Folder, "log") }

func (h *testHub) log() string {
	text, _ := os.ReadFile(h.logPath())
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// hear notes what a hub archived, until it ends.
func (h *testHub) hear(out *os.File) {
	defer out.Close()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var epoch uint32
		var size int64
		var version uint64
		h.mu.Lock()
		if n, _ := fmt.Sscanf(lines.Text(), "archived %d %d", &epoch, &size); n == 2 {
			h.archived[epoch] = max(size, h.archived[epoch])
		} else if n, _ := fmt.Sscanf(lines.Text(), "reported %d", &version); n == 1 {
			h.reported = version
		}
		close(h.grew)
		h.grew = make(chan struct{})
		h.mu.Unlock()
	}
}

func (h *testHub) kill() {
	if h.running != nil {
		h.running.cmd.Process.Kill()
		<-h.running.ended
		h.running = nil
	}
}

// size is how many records of an epoch are archived, as far as the hub has said.
func (h *testHub) size(epoch uint32) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.archived[epoch]
}

// await returns when so many records of an epoch are archived.
func (h *testHub) await(what string, epoch uint32, size int64) {
	h.t.Helper()
	h.until(what, func() bool { return h.archived[epoch] >= size })
}

// until returns when something that the hub said is so.
func (h *testHub) until(what string, so func() bool) {
	h.t.Helper()
	giveUp := time.After(patience)
	for {
		h.mu.Lock()
		is, grew := so(), h.grew
		archived, reported := maps.Clone(h.archived), h.reported
		h.mu.Unlock()
		if is {
			return
		}
		select {
		case <-grew:
		case <-giveUp:
			h.t.Fatalf("%s: archived are %v, in force is %d\n%s", what, archived, reported, h.log())
		}
	}
}

// pending is the claim that waits in the name of a box.
func (h *testHub) pending(box gateway.BoxID) enrol.Pending {
	h.t.Helper()
	all, err := h.boxes.Pending(h.t.Context())
	h.must(err)
	for _, p := range all {
		if p.Subject.ID == string(box) {
			return p
		}
	}
	h.t.Fatalf("no claim of %s waits: %+v\n%s", box, all, h.log())
	return enrol.Pending{}
}

// holds checks that the archive has at least so many records of a box's log, each once and byte for byte as the box's
// own tree has it, and that nothing was ever wrong with them.
func (h *testHub) holds(o archive.Origin, size int64, box *store.Copy, verifier note.Verifier) {
	h.t.Helper()
	ctx := h.t.Context()
	standing, err := h.archive.Standing(ctx, o)
	h.must(err)
	if standing.Size < size || standing.Refused != "" {
		h.t.Errorf("%d of %d records are archived; refused: %q", standing.Size, size, standing.Refused)
	}
	head := h.rebuilt(o, standing.Size)
	if signed, err := audit.OpenCheckpoint(standing.Checkpoint, verifier); err != nil || head != signed {
		h.t.Errorf("the archived records make the tree %+v, the box signed %+v, %v", head, signed, err)
	}
	if same, err := audit.Consistent(head, standing.Size, box.Hashes(ctx, o.Epoch)); err != nil || !same {
		h.t.Errorf("the archived records are not those of the box: %v", err)
	}
	incidents, err := h.archive.Incidents(ctx, true, 10)
	if err != nil || len(incidents) > 0 {
		h.t.Errorf("the archive has alarms: %+v, %v", incidents, err)
	}
}

// rebuilt makes the tree anew from the archived records, which must all name their people still.
func (h *testHub) rebuilt(o archive.Origin, size int64) audit.Head {
	h.t.Helper()
	tree := audit.Tree{Epoch: o.Epoch}
	for tree.Size() < size {
		records, err := h.archive.Leaves(h.t.Context(), o, tree.Size(), 100)
		h.must(err)
		if len(records) == 0 {
			h.t.Fatalf("record %d is not in the archive", tree.Size())
		}
		for _, r := range records {
			leaf, err := audit.Decode(r.Leaf)
			h.must(err)
			if _, forgotten, err := leaf.Reveal(r.Openings); err != nil || len(forgotten) > 0 || r.Index != tree.Size() {
				h.t.Fatalf("record %d stands where %d should; of its openings %v are missing: %v", r.Index, tree.Size(), forgotten, err)
			}
			tree, _ = tree.Append(r.Leaf)
		}
	}
	return tree.Head()
}

package demo

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/policy"
)

// TestWardForAPerson types the commands that the ward's screen names, closes the ward and opens it again.
func TestWardForAPerson(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ward")
	w := openWard(t, dir)
	for _, c := range []struct {
		typed string
		code  int
		want  string
	}{
		{"sim tap door ana", 0, "granted: Ana Demo phone-1 Checked out."},
		{"sim phone phone-1 undock", 0, ""},
		{"sim tap dock-1 stranger", 0, "refused: This badge is not known on this ward."},
		{"sim inject door ben", 0, "granted: Ben Sample phone-2 Checked out."},
		{"sim tap nowhere ana", 1, "there are dock-1, door, med-room"},
		{"sim tap door nobody", 1, "there are ana, ben"},
		{"sim phone phone-1 fly", 1, "is not one of dock"},
		{"sim phone phone-9 undock", 1, "there are phone-1 to phone-3"},
		{"sim plug med-room", 1, "plugged in already"},
		{"sim pull med-room", 0, ""},
		{"sim tap med-room cora", 1, "its cable is pulled"},
		{"sim plug med-room", 0, ""},
		{"sim ward " + dir, 1, "another ward runs in"},
		{"sim uplink up", 1, "the hub's plug is in already"},
		{"sim uplink sideways", 2, "must be one of"},
		{"sim uplink down", 0, ""},
		{"sim uplink down", 1, "the hub's plug is pulled already"},
		{"sim tap med-room cora", 0, "granted: Cora Example phone-3 Checked out."},
		{"status", 0, "cut off since"},
		{"sim restart", 0, ""},
		{"status", 0, "Ana Demo"},
		{"log " + filepath.Join(boxFolder(dir), "ward.db"), 0, "source=sim"},
	} {
		said, code := w.do(strings.Fields(c.typed)...)
		if code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%s: exit status %d and %q, want %d and %q", c.typed, code, said, c.code, c.want)
		}
	}
	if code := w.interrupt(); code != 0 {
		t.Errorf("exit status %d after Ctrl-C: %s", code, w.stderr.String())
	}
	if left := alive(t, "", dir); len(left) > 0 {
		t.Errorf("processes %v outlive the ward", left)
	}
	again := openWard(t, dir)
	said, _ := again.do("status")
	for _, want := range []string{"Ana Demo", "Ben Sample", "Cora Example", "connected since"} {
		if !strings.Contains(said, want) {
			t.Errorf("the ward that was opened again does not say %q:\n%s", want, said)
		}
	}
}

// TestWardEndsWithItsPrograms holds that a program which ends by itself is told and ends the ward, and nothing is left.
func TestWardEndsWithItsPrograms(t *testing.T) {
	for _, program := range []string{"pcscd", "tapwardd", "tapward-phone", "tapward-hub"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "ward")
			w := openWard(t, dir)
			running := alive(t, program, dir)
			if len(running) == 0 {
				t.Fatalf("no %s runs", program)
			}
			if err := syscall.Kill(running[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if code := w.wait(); code != 1 {
				t.Errorf("exit status %d, want 1", code)
			}
			if said := w.stderr.String(); !strings.Contains(said, "ended by itself") {
				t.Errorf("the ward said %q", said)
			}
			if left := alive(t, "", dir); len(left) > 0 {
				t.Errorf("processes %v outlive the ward", left)
			}
		})
	}
}

// TestNothingOutlivesAKilledWard holds that even kill -9 of the ward leaves no daemon behind.
func TestNothingOutlivesAKilledWard(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ward")
	w := openWard(t, dir)
	w.cmd.Process.Kill()
	w.wait()
	for end := time.After(30 * time.Second); len(alive(t, "", dir)) > 0; {
		select {
		case <-end:
			t.Fatalf("processes %v outlive the ward", alive(t, "", dir))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestForeignFolder holds that a ward neither moves into nor empties a folder that is not a ward's.
func TestForeignFolder(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	ward := Ward{Dir: dir, Station: "127.0.0.1:0", Pages: "127.0.0.1:0"}
	for name, err := range map[string]error{
		"ward": ward.Run(t.Context(), nil), "story": ward.Story(t.Context(), t.Output()),
	} {
		if err == nil || !strings.Contains(err.Error(), "holds something else") {
			t.Errorf("%s in a foreign folder: %v", name, err)
		}
	}
	if content, err := os.ReadFile(precious); err != nil || string(content) != "mine" {
		t.Errorf("the folder's file: %q, %v", content, err)
	}
}

// TestTakenPort holds that a taken port is told with what to do, before anything is started.
func TestTakenPort(t *testing.T) {
	files, place, err := Ward{Station: "127.0.0.1:0", Pages: "127.0.0.1:0"}.listen()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(files)
	taken := strings.Trim(strings.TrimPrefix(place.Station, "https://"), "/")
	err = Ward{Dir: filepath.Join(t.TempDir(), "ward"), Station: taken, Pages: "127.0.0.1:0"}.Run(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "--station") {
		t.Errorf("a taken port: %v", err)
	}
}

// TestDocument holds that the demo's policy is well-formed and that its badges are told apart.
func TestDocument(t *testing.T) {
	var key gateway.BadgeKey
	hashes := map[string][]string{}
	for _, b := range badges() {
		for kind, number := range map[gateway.CredentialKind][]byte{gateway.UID: b.UID, gateway.EM: b.EM, gateway.Line: []byte(b.Line)} {
			hashes[b.Name] = append(hashes[b.Name], gateway.NewCredential(kind, number).Hash(key).String())
		}
	}
	doc, err := policy.Parse([]byte(document(hashes)))
	if err != nil {
		t.Fatal(err)
	}
	snapshot := policy.New(doc, wardID, key)
	for _, b := range badges() {
		who, known := snapshot.Identify(gateway.NewCredential(gateway.UID, b.UID))
		if known == (b.Name == stranger) {
			t.Errorf("badge %s: known is %t (%s)", b.Name, known, who.Name)
		}
	}
}

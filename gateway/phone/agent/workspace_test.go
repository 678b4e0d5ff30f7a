package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
)

func testSession() Session {
	return Session{Grant: gateway.Grant{Box: "west", Phone: "phone-1", Fence: 1, Lease: 60}, Signed: "jws", Name: "Demo Nurse"}
}

// TestWorkspace opens twice, as a resumed session does, and clears twice, as a restarted agent does.
func TestWorkspace(t *testing.T) {
	root := t.TempDir()
	heard := filepath.Join(root, "heard")
	note := func(what string) []string {
		return []string{"/bin/sh", "-c", `echo "$0 $TAPWARD_EVENT $TAPWARD_NAME $TAPWARD_BOX" >>` + heard + `; test -d "$TAPWARD_SESSION_DIR" -a -s "$TAPWARD_TOKEN_FILE" || test $0 = gone`, what}
	}
	w := Workspace{Root: filepath.Join(root, "work"), Phone: "phone-1", Commands: Commands{
		Unlock: note("there"), Lock: note("there"), Clear: note("there"), VerifyClear: note("gone"),
	}}
	x := testSession()
	if err := w.Open(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(w.token(x))
	if err != nil || len(token) < 20 {
		t.Fatalf("token %q: %v", token, err)
	}
	if err := os.WriteFile(filepath.Join(w.dir(x), "notes"), []byte("of a patient"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Open(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(w.token(x)); string(again) != string(token) {
		t.Error("resuming changed the token")
	}
	if err := w.Clear(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{w.dir(x), w.token(x)} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s after clearing: %v", path, err)
		}
	}
	w.Commands = Commands{}
	for _, again := range []Session{x, {}} {
		if err := w.Clear(t.Context(), again); err != nil {
			t.Errorf("cleared again: %v", err)
		}
	}
	text, err := os.ReadFile(heard)
	if err != nil {
		t.Fatal(err)
	}
	want := "there unlock Demo Nurse west\nthere unlock Demo Nurse west\nthere lock Demo Nurse west\nthere clear Demo Nurse west\ngone verify-clear Demo Nurse west\n"
	if string(text) != want {
		t.Errorf("the commands heard\n%s, want\n%s", text, want)
	}
}

// TestPreparedBecomesTheSession: what was prepared is nobody's until a session opens, then it is that session's and no
// other's, and clearing leaves nothing of it.
func TestPreparedBecomesTheSession(t *testing.T) {
	w := Workspace{Root: t.TempDir(), Phone: "phone-1"}
	x := testSession()
	if err := errors.Join(w.Prepare(), w.Prepare()); err != nil {
		t.Fatal(err)
	}
	if err := w.verify(); err != nil {
		t.Errorf("what is only prepared counts as a session's: %v", err)
	}
	prepared, err := os.ReadFile(w.preparedToken())
	if err != nil || len(prepared) < 20 {
		t.Fatalf("token %q: %v", prepared, err)
	}
	token := func(x Session) string {
		t.Helper()
		if err := w.Open(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		if dir, err := os.Stat(w.dir(x)); err != nil || dir.Mode() != fs.ModeDir|0o700 {
			t.Fatalf("the session's directory: %v, %v", dir, err)
		}
		text, err := os.ReadFile(w.token(x))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if token(x) != string(prepared) {
		t.Error("the session did not get what was prepared")
	}
	if err := w.Prepare(); err != nil {
		t.Fatal(err)
	}
	if token(x) != string(prepared) {
		t.Error("resuming a session gave it what was prepared for another")
	}
	if err := w.Clear(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(w.prepared()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("clearing left what was prepared: %v", err)
	}
	if token(x) == string(prepared) {
		t.Error("a cleared session's token came back")
	}
}

// TestClearFindsWhatIsLeft: whatever is left, wherever, is an error, and what can be removed is removed all the same.
func TestClearFindsWhatIsLeft(t *testing.T) {
	for name, leave := range map[string]func(w *Workspace) error{
		"planted":                func(w *Workspace) error { return w.Plant() },
		"token of another":       func(w *Workspace) error { return os.WriteFile(filepath.Join(w.tokens(), "other"), nil, 0o600) },
		"verify command says so": func(w *Workspace) error { w.Commands.VerifyClear = []string{"false"}; return nil },
		"clear command fails":    func(w *Workspace) error { w.Commands.Clear = []string{"false"}; return nil },
		"lock command fails":     func(w *Workspace) error { w.Commands.Lock = []string{"false"}; return nil },
		"command does not exist": func(w *Workspace) error { w.Commands.VerifyClear = []string{"/no/such/program"}; return nil },
		"verify command hangs":   func(w *Workspace) error { w.Commands.VerifyClear = []string{"sleep", "600"}; return nil },
		"verify leaves a process": func(w *Workspace) error {
			w.Commands.VerifyClear = []string{"sh", "-c", "sleep 600 & wait"}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := &Workspace{Root: t.TempDir(), Phone: "phone-1", Commands: Commands{Timeout: 300 * time.Millisecond}}
			x := testSession()
			if err := errors.Join(w.Open(t.Context(), x), leave(w)); err != nil {
				t.Fatal(err)
			}
			err := w.Clear(t.Context(), x)
			if err == nil {
				t.Fatal("cleared")
			}
			if strings.Contains(err.Error(), x.Name) {
				t.Errorf("the error names a person: %v", err)
			}
			if _, err := os.Stat(w.dir(x)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the session's directory is left: %v", err)
			}
			if err := w.Unplant(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

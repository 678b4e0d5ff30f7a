package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hub.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"everything": {"site = \"a site\"\ndata = \"here\"\n[broker]\nlisten = \"4222\"\ncluster = [\"tls://one:4222\"]\n[enrol]\nadmins = [\"x\"]\n",
			[]string{`site: "a site"`, `data: "here"`, "broker.listen", "a cluster needs ca", "enrol.admins: entry 1"}},
		"a typo":         {"sight = \"site-1\"\n", []string{"keys that do not exist", "sight"}},
		"no port at all": {"site = \"s\"\ndata = \"/d\"\n[enrol]\nurl = \"https://hub.example\"\n", []string{"https://hub.example"}},
		"open to all":    {"site = \"s\"\ndata = \"/d\"\n[enrol]\nlisten = \"\"\nurl = \"https://h:1\"\n[metrics]\nlisten = \":9464\"\n", []string{"enrol.listen", "metrics.listen"}},
		"no length":      {"site = \"s\"\ndata = \"/d\"\n[archive]\nrecords = \"ten years\"\n", []string{"ten years"}},
	} {
		_, err := readConfig(write(t, test.text))
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", name, err, want)
			}
		}
	}
}

func TestConfigCompletesItself(t *testing.T) {
	c, err := readConfig(write(t, "site = \"s\"\ndata = \"/d\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Socket != "/d/hub.sock" || c.Database != "sqlite:/d/hub.db" || c.Enrol.URL != "https://127.0.0.1:8444" ||
		len(c.Broker.Advertise) != 1 || c.Broker.Advertise[0] != "tls://127.0.0.1:4222" {
		t.Errorf("completed to %+v", c)
	}
}

func TestKeysStayTheSame(t *testing.T) {
	c := Config{Site: "site-1", Data: t.TempDir()}
	if _, err := existingKeys(c); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("who only looks in an empty folder gets %v", err)
	}
	first, err := madeKeys(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := existingKeys(c)
	if err != nil {
		t.Fatal(err)
	}
	if first.storedBy != again.storedBy || first.acceptedBy != again.acceptedBy || first.logBy != again.logBy ||
		!first.release.Equal(again.release) || first.ca.Fingerprint() != again.ca.Fingerprint() {
		t.Error("another key at the second start: every box would have to be let in anew")
	}
	if err := os.WriteFile(filepath.Join(c.Data, "stored-key"), []byte("half of one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readKeys(c); err == nil || !strings.Contains(err.Error(), "stored-key") {
		t.Errorf("a damaged key: %v", err)
	}
	if err := os.Chmod(filepath.Join(c.Data, "release-key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readKeys(c); err == nil || !strings.Contains(err.Error(), "make it 0600") {
		t.Errorf("a key that others may read: %v", err)
	}
}

func TestNothingButASocketIsRemoved(t *testing.T) {
	path := write(t, "kept")
	if _, err := listenLocal(path); err == nil {
		t.Error("listened in the place of a file")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "kept" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

// TestDatabaseOfAnotherHub: with other keys the hub's own log could not be verified any more.
func TestDatabaseOfAnotherHub(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "hub.db")
	log := slog.New(slog.DiscardHandler)
	first := Config{Site: "site-1", Data: t.TempDir(), Database: url, Enrol: Enrol{URL: "https://127.0.0.1:8444"}, Broker: Broker{Listen: "127.0.0.1:4222", Advertise: []string{"tls://127.0.0.1:4222"}}}
	h, err := open(t.Context(), first, log)
	if err != nil {
		t.Fatal(err)
	}
	h.db.Close()
	other := first
	other.Data = t.TempDir()
	if _, err := open(t.Context(), other, log); err == nil || !strings.Contains(err.Error(), "hub with other keys") {
		t.Errorf("another hub's database: %v", err)
	}
}

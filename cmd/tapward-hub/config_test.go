package main

import (
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
	first, err := readKeys(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := readKeys(c)
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
}

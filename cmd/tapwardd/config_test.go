package main

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/phone/link"
	"tapward/reader/serial"
)

// TestConfigurationThatCannotStart is refused when it is checked, not when the readers and sockets are opened.
func TestConfigurationThatCannotStart(t *testing.T) {
	good := func() Config {
		return Config{
			Box: "box-a", Ward: "5b", Data: "/data",
			Station: Station{Listen: "127.0.0.1:8443"}, Phones: Phones{Listen: "127.0.0.1:0"}, Metrics: Metrics{Listen: "127.0.0.1:9464"},
			PCSC:   []PCSC{{ID: "door", Match: "ACR1252*PICC"}},
			Serial: []serial.Config{{ID: "med-room", Device: "/dev/serial/by-id/usb-1", Protocol: serial.ID12LA}},
		}
	}
	if err := good().validate(); err != nil {
		t.Fatalf("a right configuration is refused: %v", err)
	}
	for words, spoil := range map[string]func(*Config){
		"reader 1 has no id":            func(c *Config) { c.PCSC[0].ID = "" },
		"\"door\" has nothing to match": func(c *Config) { c.PCSC[0].Match = "" },
		"\"dock\" has nothing to match": func(c *Config) { c.PCSC[0] = PCSC{ID: "dock", Match: "*"} },
		"id is empty":                   func(c *Config) { c.Serial[0].ID = " " },
		"stands twice":                  func(c *Config) { c.Serial[0].ID = "door" },
		"phones.listen: \"h:760000\"":   func(c *Config) { c.Phones.Listen = "h:760000" },
		"phones.listen: \"h:-1\"":       func(c *Config) { c.Phones.Listen = "h:-1" },
		"station.listen: \"h:\"":        func(c *Config) { c.Station.Listen = "h:" },
		"metrics.listen: \"h:999999\"":  func(c *Config) { c.Metrics.Listen = "h:999999" },
	} {
		c := good()
		spoil(&c)
		if err := c.validate(); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("want %s, have %v", words, err)
		}
	}
}

// TestLogKeyOfAnotherBox: the box does not open with it, and says whose it is and what to do.
func TestLogKeyOfAnotherBox(t *testing.T) {
	c := Config{Box: "box-a", Data: t.TempDir()}
	id, err := link.NewIdentity("box-a")
	if err != nil {
		t.Fatal(err)
	}
	var badge gateway.BadgeKey
	write(t, filepath.Join(c.Data, "link-key"), id.PEM())
	write(t, filepath.Join(c.Data, "badge-key"), []byte(base64.StdEncoding.EncodeToString(badge[:])))
	for _, box := range []gateway.BoxID{"box-a", "box-b", "box-aa"} {
		secret, _, err := audit.NewKey(rand.Reader, box)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(c.Data, "log-key")
		write(t, path, []byte(secret))
		_, err = readSecrets(c)
		if checked := checkSecrets(c); (checked == nil) != (err == nil) {
			t.Errorf("the key of %s: the check says %v, the start %v", box, checked, err)
		}
		switch {
		case box == c.Box && err != nil:
			t.Errorf("the box's own key: %v", err)
		case box != c.Box && (err == nil || !strings.Contains(err.Error(), `"tapward/`+string(box)+`"`) || !strings.Contains(err.Error(), "tapward keys")):
			t.Errorf("the key of %s: %v", box, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkSecrets(c); err != nil {
		t.Errorf("keys that only the service has cannot be checked here: %v", err)
	}
}

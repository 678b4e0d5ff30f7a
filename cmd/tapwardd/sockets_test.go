package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// An empty address means that systemd hands the socket over. Where it does not, the box refuses to start instead of
// listening everywhere.
func TestNoAddressIsNotEveryAddress(t *testing.T) {
	s, err := openSockets(Config{
		Station: Station{Socket: filepath.Join(t.TempDir(), "api.sock")},
		Phones:  Phones{Listen: "127.0.0.1:0"},
	})
	if err == nil {
		defer s.close()
		t.Fatalf("the station listens at %s", s.page.Addr())
	}
	if !strings.Contains(err.Error(), "station") {
		t.Errorf("the error does not say what lacks an address: %v", err)
	}
}

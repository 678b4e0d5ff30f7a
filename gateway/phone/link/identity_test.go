package link

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestIdentityIsCreatedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "box.pem")
	made, err := CreateIdentity(path, "box-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateIdentity(path, "box-1"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second creation: %v, want that it exists", err)
	}
	loaded, err := LoadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Fingerprint() != made.Fingerprint() || !loaded.key.Equal(made.key) {
		t.Error("loaded another identity than was created")
	}
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if stat.Mode().Perm() != 0o600 {
		t.Errorf("mode is %04o", stat.Mode().Perm())
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v", left, err)
	}
}

func TestIdentityNeverFollowsAnExistingName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "box.pem")
	if err := os.Symlink("elsewhere", path); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateIdentity(path, "box-1"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creation over a symlink: %v, want that it exists", err)
	}
}

func TestIdentityThatOthersMayReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "box.pem")
	if _, err := CreateIdentity(path, "box-1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(path); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("loading gave %v, want what to do", err)
	}
}

func TestParseIdentityRefuses(t *testing.T) {
	a, b := newIdentity(t, "a"), newIdentity(t, "b")
	certA, keyB := cutPEM(t, a, certBlock), cutPEM(t, b, keyBlock)
	for name, text := range map[string][]byte{
		"nothing":         nil,
		"no key":          certA,
		"no certificate":  keyB,
		"another's key":   append(bytes.Clone(certA), keyB...),
		"a strange block": append(a.PEM(), "-----BEGIN X-----\n-----END X-----\n"...),
		"a broken key":    []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
	} {
		if _, err := ParseIdentity(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func cutPEM(t *testing.T, id Identity, block string) []byte {
	text := string(id.PEM())
	begin, end := "-----BEGIN "+block+"-----", "-----END "+block+"-----\n"
	from, to := strings.Index(text, begin), strings.Index(text, end)
	if from < 0 || to < 0 {
		t.Fatal("no such block")
	}
	return []byte(text[from : to+len(end)])
}

func TestIdentityNeverPrintsItsKey(t *testing.T) {
	id := newIdentity(t, "box-1")
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	log.Info("x", "id", id, "pointer", &id, "inside", struct{ ID Identity }{id})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&text, verb+verb+"\n", id, struct{ ID Identity }{id})
	}
	asJSON, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	text.Write(asJSON)
	scalar, err := id.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{new(big.Int).SetBytes(scalar).String(), fmt.Sprintf("%x", scalar), base64.StdEncoding.EncodeToString(scalar)} {
		if strings.Contains(text.String(), secret) {
			t.Fatal("the private key was printed")
		}
	}
	if !strings.Contains(text.String(), id.Fingerprint().String()) {
		t.Error("the fingerprint was not printed")
	}
}

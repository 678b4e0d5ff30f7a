package link

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"tapward/gateway"
)

var update = flag.Bool("update", false, "write docs/phone-protocol/vectors anew, with new keys")

// vectorKey is a public key of the vectors; the private halves were thrown away.
type vectorKey struct {
	JWK         jose.JSONWebKey     `json:"jwk"`
	SPKI        string              `json:"spki_hex"`
	Fingerprint gateway.Fingerprint `json:"fingerprint"`
}

// grantVector is a grant in all its forms, or a JWS that must be refused, and why.
type grantVector struct {
	Name      string          `json:"name"`
	Key       string          `json:"key"`
	JWS       string          `json:"jws"`
	Canonical string          `json:"canonical,omitempty"`
	Digest    *gateway.Digest `json:"digest,omitempty"`
	Refused   string          `json:"refused,omitempty"`
}

// claimsVector is a signed hello or receipt with its claims, or one that must be refused, and why.
type claimsVector struct {
	Name    string          `json:"name"`
	Key     string          `json:"key"`
	JWS     string          `json:"jws"`
	Claims  json.RawMessage `json:"claims,omitempty"`
	Refused string          `json:"refused,omitempty"`
}

// frameVector is bytes of the wire with the message in them, or bytes that must end the link, and why.
type frameVector struct {
	Name    string          `json:"name"`
	Hex     string          `json:"hex"`
	Message json.RawMessage `json:"message,omitempty"`
	Refused string          `json:"refused,omitempty"`
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	keys := map[string]vectorKey{}
	readVectors(t, "keys", &keys)
	t.Run("keys", func(t *testing.T) { runKeys(t, keys) })
	t.Run("grants", func(t *testing.T) { runGrants(t, keys) })
	t.Run("hellos", func(t *testing.T) { runClaims(t, keys, "hello", VerifyHello) })
	t.Run("receipts", func(t *testing.T) { runClaims(t, keys, "receipt", VerifyReceipt) })
	t.Run("frames", runFrames)
}

func readVectors(t *testing.T, name string, to any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(protocolFolder, "vectors", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func runKeys(t *testing.T, keys map[string]vectorKey) {
	for name, k := range keys {
		spki, err := hex.DecodeString(k.SPKI)
		if err != nil || gateway.FingerprintOf(spki) != k.Fingerprint {
			t.Errorf("%s: fingerprint of the key is %s, %v", name, gateway.FingerprintOf(spki), err)
		}
		if k.JWK.IsPublic() != true {
			t.Errorf("%s: not a public key", name)
		}
	}
	if len(keys) < 3 {
		t.Errorf("only %d keys", len(keys))
	}
}

func publicKey(t *testing.T, keys map[string]vectorKey, name string) *ecdsa.PublicKey {
	t.Helper()
	key, ok := keys[name].JWK.Key.(*ecdsa.PublicKey)
	if !ok {
		t.Fatalf("no key %q", name)
	}
	return key
}

func runGrants(t *testing.T, keys map[string]vectorKey) {
	var vectors []grantVector
	readVectors(t, "grants", &vectors)
	taken := 0
	for _, v := range vectors {
		g, err := VerifyGrant(publicKey(t, keys, v.Key), v.JWS)
		switch {
		case v.Refused != "":
			if err == nil {
				t.Errorf("%s: taken, although %s", v.Name, v.Refused)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		taken++
		if string(g.Canonical()) != v.Canonical || g.Digest() != *v.Digest {
			t.Errorf("%s: canonical bytes %s, digest %s", v.Name, g.Canonical(), g.Digest())
		}
		if err := valid(schemaOf(t, "grant"), []byte(v.Canonical)); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	bothKinds(t, "grants", taken, len(vectors)-taken)
}

func runClaims[C claims](t *testing.T, keys map[string]vectorKey, name string, verify func(*ecdsa.PublicKey, string) (C, error)) {
	var vectors []claimsVector
	readVectors(t, name+"s", &vectors)
	taken := 0
	for _, v := range vectors {
		c, err := verify(publicKey(t, keys, v.Key), v.JWS)
		switch {
		case v.Refused != "":
			if err == nil {
				t.Errorf("%s: taken, although %s", v.Name, v.Refused)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		taken++
		if have := asJSON(t, c); !bytes.Equal(have, compact(t, v.Claims)) {
			t.Errorf("%s: claims %s", v.Name, have)
		}
		if err := valid(schemaOf(t, name+"-claims"), v.Claims); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	bothKinds(t, name, taken, len(vectors)-taken)
}

func runFrames(t *testing.T) {
	var vectors []frameVector
	readVectors(t, "frames", &vectors)
	taken := 0
	for _, v := range vectors {
		wire, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		m, err := ReadMessage(bytes.NewReader(wire))
		switch {
		case v.Refused != "":
			if err == nil {
				t.Errorf("%s: taken, although %s", v.Name, v.Refused)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		taken++
		if have := asJSON(t, m); !bytes.Equal(have, compact(t, v.Message)) {
			t.Errorf("%s: message %s", v.Name, have)
		}
		if err := valid(schemaOf(t, string(typeOf(m))), v.Message); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	bothKinds(t, "frames", taken, len(vectors)-taken)
}

// bothKinds says that a file holds what must be taken and what must be refused.
func bothKinds(t *testing.T, name string, taken, refused int) {
	t.Helper()
	if taken == 0 || refused == 0 {
		t.Errorf("%s: %d to be taken, %d to be refused", name, taken, refused)
	}
}

func compact(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

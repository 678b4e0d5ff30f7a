package link

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"tapward/gateway"
)

func TestGrantIsSignedOverItsCanonicalBytes(t *testing.T) {
	box := newIdentity(t, "box-1")
	want := grantOf(newPeer(t, "phone-01"), 9)
	want.Clinician = "c<&>\u2028é"
	signed, err := SignGrant(box, want)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[1])
	if err != nil || string(payload) != string(want.Canonical()) {
		t.Errorf("payload %q, %v", payload, err)
	}
	got, err := VerifyGrant(box.Public(), signed)
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestGrantRefusals(t *testing.T) {
	box, other := newIdentity(t, "box-1"), newIdentity(t, "box-2")
	g := grantOf(newPeer(t, "phone-01"), 9)
	header := `{"alg":"ES256","typ":"tapward-grant+jws"}`
	right := es256(t, box.key, header, g.Canonical())
	if _, err := VerifyGrant(box.Public(), right); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(right, ".")
	changed := g
	changed.Clinician = "c-18"
	spaced, err := json.MarshalIndent(g, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: other.Public(), Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	hs := b64([]byte(`{"alg":"HS256","typ":"tapward-grant+jws"}`)) + "." + parts[1]
	spki, err := x509.MarshalPKIXPublicKey(box.Public())
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, spki)
	mac.Write([]byte(hs))
	for name, signed := range map[string]string{
		"another box's key":        es256(t, other.key, header, g.Canonical()),
		"a key in the header":      es256(t, other.key, `{"alg":"ES256","typ":"tapward-grant+jws","jwk":`+string(jwk)+`}`, g.Canonical()),
		"another typ":              es256(t, box.key, `{"alg":"ES256","typ":"tapward-hello+jws"}`, g.Canonical()),
		"no typ":                   es256(t, box.key, `{"alg":"ES256"}`, g.Canonical()),
		"a changed payload":        parts[0] + "." + b64(changed.Canonical()) + "." + parts[2],
		"no signature":             parts[0] + "." + parts[1] + ".",
		"alg none":                 b64([]byte(`{"alg":"none","typ":"tapward-grant+jws"}`)) + "." + parts[1] + ".",
		"the public key as a MAC":  hs + "." + b64(mac.Sum(nil)),
		"white space":              es256(t, box.key, header, spaced),
		"an added member":          es256(t, box.key, header, []byte(strings.Replace(string(g.Canonical()), `{`, `{"x":1,`, 1))),
		"a repeated member":        es256(t, box.key, header, []byte(strings.Replace(string(g.Canonical()), `{`, `{"box":"box-9",`, 1))),
		"members in another order": es256(t, box.key, header, []byte(`{"phone":"phone-01","box":"box-1"}`)),
	} {
		if _, err := VerifyGrant(box.Public(), signed); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestClaimsKeepTheirBounds(t *testing.T) {
	id := newIdentity(t, "phone-01")
	hello := HelloClaims{Phone: "phone-01", Nonce: nonceA, BootID: "boot-1"}
	for name, change := range map[string]func(*HelloClaims){
		"no phone":             func(c *HelloClaims) { c.Phone = "" },
		"no boot id":           func(c *HelloClaims) { c.BootID = "" },
		"a short nonce":        func(c *HelloClaims) { c.Nonce = "x" },
		"held without a grant": func(c *HelloClaims) { c.Held = "e30.e30.AA" },
		"a negative lease":     func(c *HelloClaims) { c.LeaseLeft = -1 },
		"a long checkpoint": func(c *HelloClaims) {
			c.Checkpoints = map[gateway.BoxID]string{"box-1": strings.Repeat("x", MaxCheckpoint+1)}
		},
		"checkpoints of too many boxes": func(c *HelloClaims) {
			c.Checkpoints = map[gateway.BoxID]string{}
			for i := range MaxCheckpoints + 1 {
				c.Checkpoints[gateway.BoxID(rune('a'+i))] = "x"
			}
		},
	} {
		c := hello
		change(&c)
		if _, err := SignHello(id, c); err == nil {
			t.Errorf("%s: signed", name)
		}
		payload, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyHello(id.Public(), es256(t, id.key, `{"alg":"ES256","typ":"tapward-hello+jws"}`, payload)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// The largest hello that the bounds allow fits a message.
func TestLargestHelloFits(t *testing.T) {
	id, box := newIdentity(t, "phone-01"), newIdentity(t, "box-1")
	word := strings.Repeat("w", MaxWord)
	g := gateway.Grant{Box: gateway.BoxID(word), Phone: gateway.PhoneID(word), Fence: 1<<64 - 1, Clinician: gateway.ClinicianID(word)}
	held, err := SignGrant(box, g)
	if err != nil {
		t.Fatal(err)
	}
	c := HelloClaims{Phone: g.Phone, Nonce: strings.Repeat("n", MaxNonce), BootID: word, Held: held,
		Truth: gateway.Truth{Fence: 1<<64 - 2, Box: g.Box, Grant: g.Digest()}, Checkpoints: map[gateway.BoxID]string{}}
	for i := range MaxCheckpoints {
		c.Checkpoints[gateway.BoxID(word[1:]+string(rune('a'+i)))] = strings.Repeat("c", MaxCheckpoint)
	}
	signed, err := SignHello(id, c)
	if err != nil {
		t.Fatal(err)
	}
	frame, err := EncodeFrame(Hello{Protocol: 1, Signed: signed, Challenge: strings.Repeat("c", MaxNonce), Agent: word})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d bytes", len(frame), MaxMessage)
}

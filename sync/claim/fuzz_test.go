package claim

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// message fuzzes Parse of one message: what it takes means the same after Encode.
func message[M Commit | Offer | Reveal | Answer | Redeem | Issued](f *testing.F, good M) {
	seed, err := Encode(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{}`))
	f.Add(append(bytes.Clone(seed), '{'))
	f.Add(bytes.Replace(seed, []byte(`{`), []byte(`{"more":1,`), 1))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Parse[M](in)
		if err != nil {
			return
		}
		out, err := Encode(m)
		if err != nil {
			return // escapes may take more room than they had
		}
		again, err := Parse[M](out)
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v became %+v: %v", m, again, err)
		}
	})
}

func FuzzCommit(f *testing.F) {
	message(f, Commit{Subject: box7, Ward: "icu", Commitment: make([]byte, 32)})
}

func FuzzOffer(f *testing.F) {
	message(f, Offer{Claim: "0123", Nonce: make([]byte, NonceSize), Hub: newHub(f), Lasts: 600})
}

func FuzzReveal(f *testing.F) {
	message(f, Reveal{Nonce: make([]byte, NonceSize), Keys: newNewcomer(f, box7).keys, Proof: "proof"})
}

func FuzzAnswer(f *testing.F) { message(f, Answer{Token: "token", Again: 2000}) }

func FuzzRedeem(f *testing.F) { message(f, Redeem{Token: "token", Request: []byte{0x30}}) }

func FuzzIssued(f *testing.F) { message(f, Issued{Chain: [][]byte{{0x30}}, Hub: newHub(f)}) }

func FuzzRefusal(f *testing.F) {
	good, err := json.Marshal(Refusal{Declined, "no"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"refused":"x"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if r, err := ParseRefusal(in); err == nil && (r.Reason == "" || r.Words == "") {
			t.Error("a refusal without words")
		}
	})
}

func FuzzExpected(f *testing.F) {
	admin, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0).UTC()
	good, err := SignExpected(Expected{"st-anna", now, now.Add(time.Hour), []ExpectedBox{{Kind: Box, ID: "box-7", Ward: "icu"}}}, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"payload":"","payloadType":"","signatures":[]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if e, err := OpenExpected(in, []ed25519.PublicKey{admin}); err == nil && (e.Site != "st-anna" || len(e.Boxes) != 1) {
			t.Errorf("nobody signed %+v", e)
		}
	})
}

func FuzzURI(f *testing.F) {
	f.Add(box7.URI().String())
	f.Add("spiffe://a/box/b/c")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseURI(text); err == nil && s.URI().String() != text {
			t.Errorf("%q became %q", text, s.URI())
		}
	})
}

func FuzzCode(f *testing.F) {
	f.Add("0123 4567")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCode(text); err == nil {
			if again, err := ParseCode(c.String()); err != nil || again != c || strings.Trim(string(c), "0123456789") != "" {
				t.Errorf("%q became %q, %v", text, again, err)
			}
		}
	})
}

package link

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"tapward/gateway"
)

// writeVectors makes all vectors with new keys and throws their private halves away. Signatures are made by the tests'
// own signer, so that the vectors do not only say what the package does.
func writeVectors(t *testing.T) {
	box, handset, stranger := newIdentity(t, "box-1"), newIdentity(t, "phone-07"), newIdentity(t, "stranger")
	save(t, "keys", map[string]vectorKey{"box": public(box), "phone": public(handset), "stranger": public(stranger)})
	first, held := vectorGrants()
	save(t, "grants", grantVectors(t, box, stranger, first, held))
	save(t, "hellos", helloVectors(t, handset, stranger, held, grantJWS(t, box, held)))
	save(t, "receipts", receiptVectors(t, handset, stranger, held))
	save(t, "frames", frameVectors(t))
}

func save(t *testing.T, name string, v any) {
	t.Helper()
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(protocolFolder, "vectors", name+".json"), text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func public(id Identity) vectorKey {
	return vectorKey{
		JWK:         jose.JSONWebKey{Key: id.Public(), Algorithm: "ES256", Use: "sig"},
		SPKI:        hex.EncodeToString(id.cert.RawSubjectPublicKeyInfo),
		Fingerprint: id.Fingerprint(),
	}
}

func vectorGrants() (first, held gateway.Grant) {
	first = gateway.Grant{Box: "box-1", Phone: "phone-07", Fence: 1, Custody: 1, Clinician: "made-up-1", Lease: 1800, Idle: 120, Limit: 43200}
	held = gateway.Grant{Box: "box-1", Phone: "phone-07", Fence: 42, Custody: 17, Clinician: "made-up <&> é \u2028", Lease: 600}
	for i := range held.Policy {
		held.Policy[i] = byte(i)
	}
	return first, held
}

const grantHeader = `{"alg":"ES256","typ":"tapward-grant+jws"}`

func grantJWS(t *testing.T, box Identity, g gateway.Grant) string {
	return es256(t, box.key, grantHeader, g.Canonical())
}

func grantVectors(t *testing.T, box, stranger Identity, grants ...gateway.Grant) []grantVector {
	taken := func(name string, g gateway.Grant) grantVector {
		digest := g.Digest()
		return grantVector{Name: name, Key: "box", JWS: grantJWS(t, box, g), Canonical: string(g.Canonical()), Digest: &digest}
	}
	g := grants[0]
	refused := func(name, header string, by Identity, payload []byte, why string) grantVector {
		return grantVector{Name: name, Key: "box", JWS: es256(t, by.key, header, payload), Refused: why}
	}
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"tapward-grant+jws"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(g.Canonical()) + "."
	spaced := bytes.Replace(g.Canonical(), []byte(`,`), []byte(`, `), 1)
	return []grantVector{
		taken("the first bind of a phone", g),
		taken("characters that the canonical form escapes", grants[1]),
		refused("another key", grantHeader, stranger, g.Canonical(), "the box did not sign it"),
		refused("another type", `{"alg":"ES256","typ":"tapward-hello+jws"}`, box, g.Canonical(), "typ must be tapward-grant+jws"),
		refused("no type", `{"alg":"ES256"}`, box, g.Canonical(), "typ must be tapward-grant+jws"),
		refused("white space", grantHeader, box, spaced, "the bytes are not canonical"),
		refused("a member more", grantHeader, box, bytes.Replace(g.Canonical(), []byte(`{`), []byte(`{"x":1,`), 1), "the bytes are not canonical"),
		refused("a member twice", grantHeader, box, bytes.Replace(g.Canonical(), []byte(`{`), []byte(`{"box":"box-2",`), 1), "a member is repeated"),
		{Name: "unsigned", Key: "box", JWS: unsigned, Refused: "alg must be ES256"},
	}
}

func claimsJWS(t *testing.T, by Identity, typ string, claims any) string {
	return es256(t, by.key, `{"alg":"ES256","typ":"`+typ+`"}`, asJSON(t, claims))
}

func helloVectors(t *testing.T, handset, stranger Identity, held gateway.Grant, signed string) []claimsVector {
	free := HelloClaims{Phone: "phone-07", Nonce: "AAECAwQFBgcICQoLDA0ODw", BootID: "8a7be1f5-0000-4000-8000-000000000001", Truth: gateway.Truth{Fence: 41}}
	holds := free
	holds.Truth = gateway.Truth{Fence: 42, Box: held.Box, Grant: held.Digest()}
	holds.Held, holds.LeaseLeft = signed, 540
	holds.Checkpoints = map[gateway.BoxID]string{"box-1": "box-1\n7\nGxUkcT0AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"}
	claimsButNot := holds
	claimsButNot.Held = ""
	spent := free
	spent.Truth.Fence = gateway.LastFence
	return []claimsVector{
		{Name: "a free phone", Key: "phone", JWS: claimsJWS(t, handset, HelloType, free), Claims: asJSON(t, free)},
		{Name: "a phone with a session", Key: "phone", JWS: claimsJWS(t, handset, HelloType, holds), Claims: asJSON(t, holds)},
		{Name: "another key", Key: "phone", JWS: claimsJWS(t, stranger, HelloType, free), Refused: "the phone did not sign it"},
		{Name: "another type", Key: "phone", JWS: claimsJWS(t, handset, ReceiptType, free), Refused: "typ must be tapward-hello+jws"},
		{Name: "a grant that it does not show", Key: "phone", JWS: claimsJWS(t, handset, HelloType, claimsButNot), Refused: "held is missing"},
		{Name: "at the last fence", Key: "phone", JWS: claimsJWS(t, handset, HelloType, spent), Refused: "no command can follow this fence"},
	}
}

func receiptVectors(t *testing.T, handset, stranger Identity, held gateway.Grant) []claimsVector {
	holds := gateway.Truth{Fence: 42, Box: held.Box, Grant: held.Digest()}
	receipt := func(kind gateway.ReceiptKind, truth gateway.Truth, reason gateway.Reason) ReceiptClaims {
		return ReceiptClaims{
			Receipt: gateway.Receipt{Kind: kind, Phone: "phone-07", Next: truth.Fence, Truth: truth, Reason: reason},
			Command: "EBESExQVFhcYGRobHB0eHw", BootID: "8a7be1f5-0000-4000-8000-000000000001", SinceMS: 123456,
		}
	}
	at := func(truth gateway.Truth, fence gateway.Fence, locked bool) gateway.Truth {
		truth.Fence, truth.Locked = fence, locked
		return truth
	}
	declined := receipt(gateway.Declined, holds, FenceMismatch)
	declined.Next = 42
	own := receipt(gateway.Locked, at(holds, 42, true), gateway.IdleLock)
	own.Next, own.Command = 0, ""
	var vectors []claimsVector
	for name, c := range map[string]ReceiptClaims{
		"bound":                       receipt(gateway.Bound, holds, ""),
		"renewed":                     receipt(gateway.Renewed, at(holds, 43, false), ""),
		"locked by a command":         receipt(gateway.Locked, at(holds, 44, true), gateway.LimitReached),
		"cleared":                     receipt(gateway.Cleared, gateway.Truth{Fence: 45}, ""),
		"clear failed":                receipt(gateway.ClearFailed, at(holds, 45, true), gateway.PhoneNotCleared),
		"declined: a second delivery": declined,
		"locked by itself":            own,
	} {
		vectors = append(vectors, claimsVector{Name: name, Key: "phone", JWS: claimsJWS(t, handset, ReceiptType, c), Claims: asJSON(t, c)})
	}
	orphan := receipt(gateway.Bound, holds, "")
	orphan.Command = ""
	spent := receipt(gateway.Cleared, gateway.Truth{Fence: gateway.LastFence}, "")
	slices.SortFunc(vectors, func(a, b claimsVector) int { return strings.Compare(a.Name, b.Name) })
	return append(vectors,
		claimsVector{Name: "another key", Key: "phone", JWS: claimsJWS(t, stranger, ReceiptType, own), Refused: "the phone did not sign it"},
		claimsVector{Name: "another type", Key: "phone", JWS: claimsJWS(t, handset, HelloType, own), Refused: "typ must be tapward-receipt+jws"},
		claimsVector{Name: "bound without a command", Key: "phone", JWS: claimsJWS(t, handset, ReceiptType, orphan), Refused: "only a lock of the phone's own goes without one"},
		claimsVector{Name: "at the last fence", Key: "phone", JWS: claimsJWS(t, handset, ReceiptType, spent), Refused: "no command can follow this fence"})
}

func frameVectors(t *testing.T) (vectors []frameVector) {
	for _, m := range messages {
		frame, err := EncodeFrame(m)
		if err != nil {
			t.Fatal(err)
		}
		vectors = append(vectors, frameVector{Name: string(typeOf(m)), Hex: hex.EncodeToString(frame), Message: frame[lengthSize:]})
	}
	refused := func(name, body, why string) {
		frame := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
		vectors = append(vectors, frameVector{Name: name, Hex: hex.EncodeToString(append(frame, body...)), Refused: why})
	}
	refused("empty", "", "the length is 0")
	refused("no object", `[]`, "a message is a JSON object")
	refused("unknown type", `{"type":"unlock"}`, "the type is not known")
	refused("type in capitals", `{"Type":"ping"}`, "member names are exact")
	refused("two values", `{"type":"ping"}{"type":"ping"}`, "a frame holds one value")
	refused("a member twice", `{"type":"ping","type":"ping"}`, "a member is repeated")
	refused("a long word", `{"type":"status","challenge":"0123456789abcdef","battery":1,"slot":"`+strings.Repeat("x", MaxWord+1)+`"}`, "slot has more than 64 bytes")
	return append(vectors,
		frameVector{Name: "a byte too long", Hex: "00004001", Refused: "the length is beyond 16384"},
		frameVector{Name: "cut", Hex: "000000107b", Refused: "the link ended within a frame"})
}

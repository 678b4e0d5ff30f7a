package link

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"sync"
	"testing"

	"tapward/gateway"
)

// FuzzMessage feeds the wire to the reader of frames: whatever it takes must come out of encoding and decoding again
// as it was, and never is more read than one frame of the allowed length.
func FuzzMessage(f *testing.F) {
	for _, m := range messages {
		frame, err := EncodeFrame(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
		f.Add(append(frame, frame...))
		f.Add(frame[:len(frame)-1])
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, '{'})
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Fuzz(func(t *testing.T, wire []byte) {
		source := bytes.NewReader(wire)
		m, err := ReadMessage(source)
		if used := len(wire) - source.Len(); used > lengthSize+MaxMessage {
			t.Fatalf("%d bytes were read", used)
		}
		if err != nil {
			return
		}
		frame, err := EncodeFrame(m)
		if err != nil {
			if binary.BigEndian.Uint32(wire) > MaxMessage/6 {
				return // escapes may make a long message longer than allowed
			}
			t.Fatalf("%+v was read and cannot be written: %v", m, err)
		}
		again, err := ReadMessage(bytes.NewReader(frame))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

var fuzzKey = sync.OnceValues(func() (Identity, error) { return NewIdentity("fuzz") })

// FuzzClaims signs arbitrary payloads rightly: what a paired phone, or a box, may put under its signature.
func FuzzClaims(f *testing.F) {
	f.Add(gateway.Grant{Box: "b", Phone: "p", Fence: 1, Lease: 60}.Canonical())
	f.Add([]byte(`{"phone":"p","nonce":"0123456789abcdef","boot_id":"b","truth":{"fence":1,"grant":"","locked":false},"lease_left_s":0}`))
	f.Add([]byte(`{"kind":"bound","phone":"p","next":2,"truth":{"fence":2,"grant":"","locked":false},"command":"c","boot_id":"b","since_boot_ms":1}`))
	f.Add([]byte(`{"box":"b","box":"c"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		id, err := fuzzKey()
		if err != nil {
			t.Fatal(err)
		}
		if g, err := VerifyGrant(id.Public(), signedAs(t, id, GrantType, payload)); err == nil && !bytes.Equal(g.Canonical(), payload) {
			t.Fatalf("grant %q was taken as %q", payload, g.Canonical())
		}
		if c, err := VerifyHello(id.Public(), signedAs(t, id, HelloType, payload)); err == nil {
			again(t, c, func() (string, error) { return SignHello(id, c) }, func(s string) (HelloClaims, error) { return VerifyHello(id.Public(), s) })
		}
		if c, err := VerifyReceipt(id.Public(), signedAs(t, id, ReceiptType, payload)); err == nil {
			c.Signed = ""
			again(t, c, func() (string, error) { return SignReceipt(id, c) }, func(s string) (ReceiptClaims, error) {
				c, err := VerifyReceipt(id.Public(), s)
				c.Signed = ""
				return c, err
			})
		}
	})
}

func signedAs(t *testing.T, id Identity, typ string, payload []byte) string {
	return es256(t, id.key, `{"alg":"ES256","typ":"`+typ+`"}`, payload)
}

func again[C any](t *testing.T, want C, sign func() (string, error), verify func(string) (C, error)) {
	signed, err := sign()
	if err != nil {
		t.Fatalf("%+v was taken and cannot be signed: %v", want, err)
	}
	if got, err := verify(signed); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v came back as %+v, %v", want, got, err)
	}
}

// FuzzSigned feeds arbitrary text where a compact JWS belongs; without the key none can be right.
func FuzzSigned(f *testing.F) {
	f.Add("e30.e30.AA")
	f.Add("..")
	f.Add(`{"payload":"e30","signatures":[]}`)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, signed string) {
		id, err := fuzzKey()
		if err != nil {
			t.Fatal(err)
		}
		_, g := VerifyGrant(id.Public(), signed)
		_, h := VerifyHello(id.Public(), signed)
		_, r := VerifyReceipt(id.Public(), signed)
		if g == nil || h == nil || r == nil {
			t.Fatalf("%q was taken", signed)
		}
		peekGrant(signed)
	})
}

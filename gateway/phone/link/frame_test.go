package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"tapward/gateway"
)

const nonceA = "nonce-a-0123456789abcd"

// messages holds one of every type, with every member set.
var messages = []Message{
	Greet{TypeGreet, 1, "box-1", nonceA, "box-1\n7\nroot\n"},
	Hello{TypeHello, 1, "e30.e30.AA", challengeA, "agent 1.0"},
	Order{Type: TypeCommand, ID: nonceA, Kind: gateway.Bind, Expect: 4, Next: 5, Challenge: challengeA, Grant: "e30.e30.AA",
		Digest: gateway.Digest{1, 2}, Name: "Dr Exämple <&>", Lease: 60, Reason: "x", Sentence: "y", Checkpoint: "z"},
	Order{Type: TypeCommand, ID: nonceA, Kind: gateway.Renew, Expect: 5, Next: 6, Challenge: challengeA, Digest: gateway.Digest{1}, Unlock: true},
	ReceiptMessage{TypeReceipt, nonceA, "e30.e30.AA", challengeA},
	StatusMessage{TypeStatus, challengeA, -1, true, true, "dock-1", true, true, "door", true, 12},
	Ping{TypePing},
	Ack{TypeAck, "box-1\n8\nroot\n"},
}

func TestEveryMessageGoesThroughAFrame(t *testing.T) {
	var wire bytes.Buffer
	for _, m := range messages {
		frame, err := EncodeFrame(m)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		wire.Write(frame)
	}
	for _, m := range messages {
		got, err := ReadMessage(&wire)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v came out as %+v, %v", m, got, err)
		}
	}
	if _, err := ReadMessage(&wire); err != io.EOF {
		t.Errorf("after the last one: %v, want io.EOF", err)
	}
}

func TestTypeIsFilledIn(t *testing.T) {
	frame, err := EncodeFrame(Ping{Type: "greet"})
	if err != nil || string(frame[4:]) != `{"type":"ping"}` {
		t.Errorf("%q, %v", frame, err)
	}
}

// demanding counts what is asked of it, so that a test sees a length believed too early.
type demanding struct {
	io.Reader
	asked int
}

func (d *demanding) Read(p []byte) (int, error) {
	d.asked += len(p)
	return d.Reader.Read(p)
}

func TestLengthIsCheckedBeforeAnythingIsAllocated(t *testing.T) {
	for _, length := range []uint32{0, MaxMessage + 1, 1 << 31, 1<<32 - 1} {
		head := binary.BigEndian.AppendUint32(nil, length)
		source := &demanding{Reader: io.MultiReader(bytes.NewReader(head), neverEnding{})}
		var broke *Malformed
		if _, err := ReadMessage(source); !errors.As(err, &broke) {
			t.Errorf("length %d: %v", length, err)
		}
		if source.asked != 4 {
			t.Errorf("length %d: %d bytes were asked for", length, source.asked)
		}
	}
	perRun := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ReadMessage(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff}))
		}
	}).AllocedBytesPerOp()
	if perRun > 1024 {
		t.Errorf("a length of 4 GiB allocates %d bytes", perRun)
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

func TestCutFrames(t *testing.T) {
	frame, err := EncodeFrame(messages[0])
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(frame); n++ {
		if _, err := ReadMessage(bytes.NewReader(frame[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	status := `{"type":"status","challenge":"0123456789abcdef","battery":50`
	for name, body := range map[string]string{
		"no object":             `[]`,
		"no type":               `{}`,
		"type in capitals":      `{"TYPE":"ping"}`,
		"unknown type":          `{"type":"reboot"}`,
		"type of a number":      `{"type":1}`,
		"trailing object":       `{"type":"ping"}{"type":"ping"}`,
		"trailing word":         `{"type":"ping"}x`,
		"two types":             `{"type":"ping","type":"ack"}`,
		"a repeated member":     status + `,"battery":60}`,
		"battery too full":      `{"type":"status","challenge":"0123456789abcdef","battery":101}`,
		"battery of a fraction": `{"type":"status","challenge":"0123456789abcdef","battery":1.5}`,
		"short challenge":       `{"type":"status","challenge":"0123","battery":50}`,
		"slot too long":         status + `,"slot":"` + strings.Repeat("x", MaxWord+1) + `"}`,
		"negative fence":        `{"type":"command","id":"0123456789abcdef","challenge":"0123456789abcdef","kind":"lock","expect":-1,"next":0}`,
		"command of no kind":    `{"type":"command","id":"0123456789abcdef","challenge":"0123456789abcdef","expect":1,"next":2}`,
		"unknown kind":          `{"type":"command","id":"0123456789abcdef","challenge":"0123456789abcdef","kind":"wipe","expect":1,"next":2}`,
		"bind without a grant":  `{"type":"command","id":"0123456789abcdef","challenge":"0123456789abcdef","kind":"bind","expect":1,"next":2}`,
		"lock with a grant":     `{"type":"command","id":"0123456789abcdef","challenge":"0123456789abcdef","kind":"lock","expect":1,"next":2,"grant":"e30.e30.AA"}`,
		"a cut digest":          `{"type":"command","id":"0123456789abcdef","challenge":"0123456789abcdef","kind":"lock","expect":1,"next":2,"digest":"ab"}`,
	} {
		m, err := Decode([]byte(body))
		var broke *Malformed
		if !errors.As(err, &broke) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func TestDecodePassesOverUnknownMembers(t *testing.T) {
	m, err := Decode([]byte(`{"type":"ack","later":{"deep":[1,2]},"checkpoint":"c"}`))
	if err != nil || m != (Ack{TypeAck, "c"}) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestWhatAPeerSaysIsShortInErrors(t *testing.T) {
	body := `{"type":"command","kind":"` + strings.Repeat("x", 10_000) + `"}`
	if _, err := Decode([]byte(body)); err == nil || len(err.Error()) > 250 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

func TestEncodeKeepsTheBounds(t *testing.T) {
	for name, m := range map[string]Message{
		"an oversized message":     Hello{Signed: strings.Repeat("x", MaxMessage), Challenge: challengeA},
		"a long name":              Order{ID: nonceA, Kind: gateway.Bind, Challenge: challengeA, Grant: "g", Name: strings.Repeat("x", MaxName+1)},
		"bytes that are not UTF-8": Ack{Checkpoint: "\xff"},
	} {
		if _, err := EncodeFrame(m); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

package link

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"tapward/gateway"
)

const protocolFolder = "../../../docs/phone-protocol"

func schemaOf(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(protocolFolder, name+".schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func valid(s *jsonschema.Schema, text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// signedContents holds every member of everything that is signed.
func signedContents() map[string][]any {
	truth := gateway.Truth{Fence: 5, Box: "box-1", Grant: gateway.Digest{7}, Locked: true}
	receipt := gateway.Receipt{Kind: gateway.Locked, Phone: "phone-01", Next: 5, Truth: truth, Reason: gateway.IdleLock}
	return map[string][]any{
		"grant": {gateway.Grant{Box: "box-1", Phone: "phone-01", Fence: 5, Custody: 2, Clinician: "c-17", Lease: 60, Idle: 30, Limit: 600}},
		"hello-claims": {
			HelloClaims{Phone: "phone-01", Nonce: nonceA, BootID: "boot-1", Truth: truth, Held: "e30.e30.AA", LeaseLeft: 9,
				Checkpoints: map[gateway.BoxID]string{"box-1": "c"}},
			HelloClaims{Phone: "phone-01", Nonce: nonceA, BootID: "boot-1"}},
		"receipt-claims": {
			ReceiptClaims{Receipt: receipt, Command: nonceA, BootID: "boot-1", SinceMS: 1},
			ReceiptClaims{Receipt: gateway.Receipt{Kind: gateway.Locked, Phone: "phone-01"}, BootID: "boot-1"}},
	}
}

// The published schemas take what this package writes, and name exactly its members.
func TestSchemasAreOfTheseMessages(t *testing.T) {
	samples := signedContents()
	for _, m := range messages {
		samples[string(typeOf(m))] = append(samples[string(typeOf(m))], m)
	}
	files, err := filepath.Glob(filepath.Join(protocolFolder, "*.schema.json"))
	if err != nil || len(files) != len(samples) {
		t.Fatalf("%d schemas for %d kinds of message, %v", len(files), len(samples), err)
	}
	for name, values := range samples {
		s, written := schemaOf(t, name), map[string]bool{}
		for _, v := range values {
			text := asJSON(t, v)
			if err := valid(s, text); err != nil {
				t.Errorf("%s: %s is refused: %v", name, text, err)
			}
			var members map[string]any
			if err := json.Unmarshal(text, &members); err != nil {
				t.Fatal(err)
			}
			for m := range members {
				written[m] = true
			}
		}
		have, want := slices.Sorted(maps.Keys(s.Properties)), slices.Sorted(maps.Keys(written))
		if !slices.Equal(have, want) {
			t.Errorf("%s: the schema names %v, written are %v", name, have, want)
		}
	}
}

// The schemas refuse what Decode refuses, as far as a schema can say it.
func TestSchemasKeepTheBounds(t *testing.T) {
	command := func(change func(*Order)) Order {
		o := Order{Type: TypeCommand, ID: nonceA, Kind: gateway.Lock, Expect: 1, Next: 2, Challenge: challengeA}
		change(&o)
		return o
	}
	for name, m := range map[string]Message{
		"a short nonce":        Greet{Type: TypeGreet, Box: "box-1", Nonce: "x"},
		"no box":               Greet{Type: TypeGreet, Nonce: nonceA},
		"a long agent":         Hello{Type: TypeHello, Signed: "e30.e30.AA", Challenge: challengeA, Agent: strings.Repeat("x", MaxWord+1)},
		"nothing signed":       Hello{Type: TypeHello, Challenge: challengeA},
		"battery too full":     StatusMessage{Type: TypeStatus, Challenge: challengeA, Battery: 101},
		"no next":              command(func(o *Order) { o.Next = 0 }),
		"a bind without grant": command(func(o *Order) { o.Kind = gateway.Bind }),
		"a lock with a grant":  command(func(o *Order) { o.Grant = "e30.e30.AA" }),
		"a long name":          command(func(o *Order) { o.Name = strings.Repeat("x", MaxName+1) }),
		"a long sentence":      command(func(o *Order) { o.Sentence = strings.Repeat("x", MaxSentence+1) }),
		"a negative lease":     command(func(o *Order) { o.Lease = -1 }),
		"a long checkpoint":    Ack{Type: TypeAck, Checkpoint: strings.Repeat("x", MaxCheckpoint+1)},
		"a short challenge":    ReceiptMessage{Type: TypeReceipt, Signed: "e30.e30.AA", Challenge: "x"},
	} {
		text := asJSON(t, m)
		if _, err := Decode(text); err == nil {
			t.Errorf("%s: decoded", name)
		}
		if err := valid(schemaOf(t, string(typeOf(m))), text); err == nil {
			t.Errorf("%s: the schema takes %s", name, text)
		}
	}
}

// Every constant of the protocol stands in its document as it is here.
func TestDocumentNamesTheBounds(t *testing.T) {
	text, err := os.ReadFile(protocolFolder + ".md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		ALPN, GrantType, HelloType, ReceiptType,
		"16384 bytes", "**10 s**", "every **4 s**", "**5 s**", "**15 s**", "25 ms",
		string(StaleChallenge), string(FenceMismatch), string(BadGrant), string(WrongGrant),
		string(SessionPresent), string(NoSession), string(PastLimit), string(DeviceFailed), string(gateway.PhoneNotCleared),
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the document does not say %q", want)
		}
	}
}

package audit_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"tapward/gateway"
	"tapward/gateway/audit"
)

func TestSealedLeafOpensToTheSameEntry(t *testing.T) {
	entry := handOff()
	bytes, openings, err := audit.Seal(3, 99, entry, &salts{})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := audit.Decode(bytes)
	if err != nil {
		t.Fatal(err)
	}
	if leaf.Epoch != 3 || leaf.Index != 99 {
		t.Errorf("decoded as record %d of epoch %d", leaf.Index, leaf.Epoch)
	}
	revealed, forgotten, err := leaf.Reveal(openings)
	if err != nil || forgotten != nil {
		t.Fatalf("reveal: forgotten %v, %v", forgotten, err)
	}
	if !reflect.DeepEqual(revealed.Entry, entry) {
		t.Errorf("have %+v\nwant %+v", revealed.Entry, entry)
	}
}

func TestLeafHoldsNobodysName(t *testing.T) {
	entry := handOff()
	leaf, _, err := audit.Seal(1, 0, entry, &salts{})
	if err != nil {
		t.Fatal(err)
	}
	r := entry.Record
	for _, personal := range []string{string(r.Clinician), string(r.Previous), r.Operator, r.Words, r.Receipt} {
		if bytes.Contains(leaf, []byte(personal)) {
			t.Errorf("the leaf contains %q", personal)
		}
	}
	decoded, err := audit.Decode(leaf)
	if err != nil {
		t.Fatal(err)
	}
	if len(decoded.Commitments) != len(audit.Fields) {
		t.Errorf("%d commitments, want %d", len(decoded.Commitments), len(audit.Fields))
	}
}

func TestSamePersonTwiceIsTwoCommitments(t *testing.T) {
	source := &salts{}
	entry := handOff()
	entry.Record.Previous = entry.Record.Clinician
	leaf, _, err := audit.Seal(1, 0, entry, source)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := audit.Decode(leaf)
	if err != nil {
		t.Fatal(err)
	}
	if decoded.Commitments[audit.Clinician] == decoded.Commitments[audit.Previous] {
		t.Error("two fields with one value can be told to be one person")
	}
}

func TestRevealNamesWhatWasForgottenAndRefusesWhatIsWrong(t *testing.T) {
	bytes, openings, err := audit.Seal(1, 0, handOff(), &salts{})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := audit.Decode(bytes)
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.DeleteFunc(slices.Clone(openings), func(o audit.Opening) bool { return o.Field == audit.Previous })
	revealed, forgotten, err := leaf.Reveal(kept)
	if err != nil || !slices.Equal(forgotten, []audit.Field{audit.Previous}) || revealed.Entry.Record.Previous != "" {
		t.Errorf("forgotten %v, %v", forgotten, err)
	}
	for name, spoil := range map[string]func(*audit.Opening){
		"value": func(o *audit.Opening) { o.Value = append([]byte("x"), o.Value...) },
		"salt":  func(o *audit.Opening) { o.Salt[15] ^= 1 },
		"field": func(o *audit.Opening) { o.Field = audit.Previous },
		"alien": func(o *audit.Opening) { o.Field = "badge" },
	} {
		spoiled := slices.Clone(openings)
		spoil(&spoiled[0])
		if _, _, err := leaf.Reveal(spoiled); err == nil {
			t.Errorf("an opening with a wrong %s was taken", name)
		}
	}
	if _, _, err := leaf.Reveal(append(openings, openings[0])); err == nil {
		t.Error("two openings of one field were taken")
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, _, err := audit.Seal(1, 0, handOff(), &salts{})
	if err != nil {
		t.Fatal(err)
	}
	recode := func(change func(map[uint64]any)) []byte {
		var m map[uint64]any
		if err := cbor.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		mode, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			t.Fatal(err)
		}
		b, err := mode.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if !bytes.Equal(recode(func(map[uint64]any) {}), good) {
		t.Fatal("the leaf is not in Core Deterministic form")
	}
	for name, c := range map[string]struct {
		leaf []byte
		want string
	}{
		"nothing":           {nil, "decode leaf"},
		"a later schema":    {recode(func(m map[uint64]any) { m[1] = 2; m[900] = "new" }), "schema version 2 is unknown"},
		"no schema":         {recode(func(m map[uint64]any) { delete(m, 1) }), "schema version 0 is unknown"},
		"an unknown key":    {recode(func(m map[uint64]any) { m[900] = "x" }), "unknown field"},
		"a zero written":    {recode(func(m map[uint64]any) { m[15] = 0 }), "canonical"},
		"an unknown person": {recode(func(m map[uint64]any) { m[23] = map[uint64][]byte{9: make([]byte, 32)} }), "commitment 9"},
		"a short digest":    {recode(func(m map[uint64]any) { m[17] = []byte{1} }), "canonical"},
		"a negative index":  {recode(func(m map[uint64]any) { m[3] = -1 }), "negative"},
		"a float":           {recode(func(m map[uint64]any) { m[7] = 7.0 }), "decode leaf"},
		"bytes after it":    {append(bytes.Clone(good), 0), "extraneous"},
		"a long number":     {bytes.Replace(good, []byte{0x07, 0x07}, []byte{0x07, 0x18, 0x07}, 1), "canonical"},
		"too many bytes":    {make([]byte, audit.MaxLeaf+1), "more than"},
	} {
		if _, err := audit.Decode(c.leaf); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestSealMendsTextThatIsNotUTF8(t *testing.T) {
	entry := handOff()
	entry.Record.Reader, entry.Record.Words = "dock-\xff", "raw \xff\x00 words"
	leaf, openings, err := audit.Seal(1, 0, entry, &salts{})
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := audit.Decode(leaf)
	if err != nil {
		t.Fatal(err)
	}
	revealed, _, err := decoded.Reveal(openings)
	if err != nil {
		t.Fatal(err)
	}
	if revealed.Entry.Record.Reader != "dock-\uFFFD" || revealed.Entry.Record.Words != "raw \xff\x00 words" {
		t.Errorf("have %q and %q", revealed.Entry.Record.Reader, revealed.Entry.Record.Words)
	}
}

func TestSealFails(t *testing.T) {
	if _, _, err := audit.Seal(1, 0, handOff(), iotest.ErrReader(errors.New("no chance"))); err == nil {
		t.Error("sealed without salts")
	}
	if _, _, err := audit.Seal(1, -1, handOff(), &salts{}); err == nil {
		t.Error("sealed at a negative index")
	}
	huge := handOff()
	huge.Record.State = strings.Repeat("x", audit.MaxLeaf)
	if _, _, err := audit.Seal(1, 0, huge, &salts{}); err == nil {
		t.Error("sealed more than a leaf may hold")
	}
}

func TestAnyEntrySealsAndDecodesToItself(t *testing.T) {
	text := rapid.StringN(0, 12, 40)
	rapid.Check(t, func(t *rapid.T) {
		entry := audit.Entry{
			At:    time.Unix(0, rapid.Int64().Draw(t, "at")).UTC(),
			Clock: rapid.SampledFrom([]audit.Clock{audit.Synchronised, audit.NotSynchronised, audit.ClockUnknown}).Draw(t, "clock"),
			Boot:  rapid.Uint64().Draw(t, "boot"), Uptime: time.Duration(rapid.Int64().Draw(t, "uptime")),
			Machine: text.Draw(t, "machine"), PolicySigned: rapid.Bool().Draw(t, "signed"),
			Record: gateway.Record{
				Kind: gateway.RecordKind(text.Draw(t, "kind")), Reader: gateway.ReaderID(text.Draw(t, "reader")),
				Phone: gateway.PhoneID(text.Draw(t, "phone")), Fence: gateway.Fence(rapid.Uint64().Draw(t, "fence")),
				Custody:   gateway.Custody(rapid.Uint64().Draw(t, "custody")),
				Assurance: gateway.Assurance{Card: gateway.CardProof(rapid.Uint8().Draw(t, "card"))},
				Durations: gateway.Durations{Read: time.Duration(rapid.Int64().Draw(t, "read"))},
				Clinician: gateway.ClinicianID(text.Draw(t, "clinician")), Words: text.Draw(t, "words"),
			},
		}
		if rapid.Bool().Draw(t, "happened before") {
			entry.Record.At = time.Unix(0, rapid.Int64().Draw(t, "happened")).UTC()
		}
		for _, reason := range rapid.SliceOfN(text, 0, 3).Draw(t, "reasons") {
			entry.Record.Reasons = append(entry.Record.Reasons, gateway.Reason(reason))
		}
		leaf, openings, err := audit.Seal(1, 5, entry, &salts{})
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := audit.Decode(leaf)
		if err != nil {
			t.Fatal(err)
		}
		revealed, forgotten, err := decoded.Reveal(openings)
		if err != nil || forgotten != nil {
			t.Fatal(forgotten, err)
		}
		if !reflect.DeepEqual(revealed.Entry, entry) {
			t.Fatalf("have %+v\nwant %+v", revealed.Entry, entry)
		}
	})
}

// FuzzDecode holds the one property that matters: what is accepted is canonical, so no two byte strings are one record.
func FuzzDecode(f *testing.F) {
	full, _, err := audit.Seal(1, 0, handOff(), &salts{})
	if err != nil {
		f.Fatal(err)
	}
	bare, _, err := audit.Seal(2, 70000, audit.Entry{Record: gateway.Record{Kind: gateway.BoxStarted}}, &salts{})
	if err != nil {
		f.Fatal(err)
	}
	first, _, err := audit.Seal(2, 0, opened("prior", audit.Head{Epoch: 1, Size: 4}), &salts{})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{full, bare, first, {0xa0}, {0xa1, 0x01, 0x02}, {0xbf, 0x01, 0x01, 0xff}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		leaf, err := audit.Decode(b)
		if err != nil {
			return
		}
		again, err := leaf.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted %x and encoded it as %x (%v)", b, again, err)
		}
	})
}

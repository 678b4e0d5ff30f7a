package mdns

import (
	"strings"
	"testing"
	"unicode"

	"tapward/gateway"
)

var key = gateway.FingerprintOf([]byte("a phone of the tests"))

const keyHex = "fp=1eb41ee4fd8c77b8db53a4ad8a84d4d9a1a1f3f7d9f3e6a30c9b10ab4b7d05e9"

func TestTXTReadsWhatItWrites(t *testing.T) {
	for _, want := range []TXT{{}, {ID: "phone-07"}, {Key: key}, {ID: "phone-07", Key: key}} {
		got, err := ParseTXT(want.Strings())
		if err != nil || got != want {
			t.Errorf("ParseTXT(%q) = %v, %v; want %v", want.Strings(), got, err, want)
		}
	}
}

func TestTXTRefuses(t *testing.T) {
	for name, text := range map[string][]string{
		"nothing":           nil,
		"no version":        {"id=phone-07"},
		"another version":   {"v=2", "id=phone-07"},
		"empty fingerprint": {"v=1", "fp="},
		"short fingerprint": {"v=1", keyHex[:len(keyHex)-2]},
		"long fingerprint":  {"v=1", keyHex + "00"},
		"not hex":           {"v=1", strings.Replace(keyHex, "1", "g", 1)},
		"id with a newline": {"v=1", "id=phone\n07"},
		"id with an escape": {"v=1", `id=phone\027[2J`},
		"id of a path":      {"v=1", "id=../phone"},
		"id too long":       {"v=1", "id=" + strings.Repeat("a", 33)},
		"too much":          {"v=1", "x=" + strings.Repeat("a", MaxTXT)},
		"too many":          append([]string{"v=1"}, make([]string, MaxTXT)...),
	} {
		if got, err := ParseTXT(text); err == nil || got != (TXT{}) {
			t.Errorf("%s: ParseTXT = %v, %v; want an error and nothing", name, got, err)
		}
	}
}

func TestTXTSkipsWhatItDoesNotKnow(t *testing.T) {
	got, err := ParseTXT([]string{"V=1", "", "=", "model=x", "ID=phone-07", "id=phone-08"})
	if err != nil || got.ID != "phone-07" {
		t.Errorf("ParseTXT = %v, %v; want the first id", got, err)
	}
}

func FuzzTXT(f *testing.F) {
	f.Add("v=1\x00id=phone-07\x00" + keyHex)
	f.Add("v=1\x00id=ph\x1b[2Jone")
	f.Add("v=2")
	f.Add("v=1\x00fp=00")
	f.Add("V=1\x00v=2\x00ID=a\x00id=b\x00=\x00")
	f.Fuzz(func(t *testing.T, record string) {
		got, err := ParseTXT(strings.Split(record, "\x00"))
		if err != nil {
			if got != (TXT{}) {
				t.Fatalf("an error and %v", got)
			}
			if len(err.Error()) > 200 || strings.ContainsFunc(err.Error(), func(c rune) bool { return !unicode.IsPrint(c) }) {
				t.Fatalf("error unfit for a log: %q", err)
			}
			return
		}
		if got.ID != "" && !gateway.ValidLabel(got.ID) {
			t.Fatalf("id %q", got.ID)
		}
		if again, err := ParseTXT(got.Strings()); err != nil || again != got {
			t.Fatalf("written and read again: %v, %v; want %v", again, err, got)
		}
	})
}

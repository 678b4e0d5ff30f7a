package pcsc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseUID(t *testing.T) {
	for answer, want := range map[string]any{
		"04 A1 B2 C3 D4 E5 80 90 00":             "04 A1 B2 C3 D4 E5 80",
		"12 34 56 78 90 00":                      "12 34 56 78",
		"01 02 03 04 05 06 07 08 09 0A 90 00":    "01 02 03 04 05 06 07 08 09 0A",
		"":                                       errShort,
		"90":                                     errShort,
		"90 00":                                  errNoNumber,
		"12 34 56 90 00":                         errNoNumber,
		"01 02 03 04 05 06 07 08 09 0A 0B 90 00": errNoNumber,
		"6A 81":                                  errNoNumber,
		"62 82":                                  errNoNumber,
		"12 34 56 78 62 82":                      errNoNumber,
		"6C 07":                                  errNoNumber,
	} {
		got, err := parseUID(unhex(t, answer))
		if number, ok := want.(string); ok {
			if err != nil || !bytes.Equal(got, unhex(t, number)) {
				t.Errorf("answer %q: % X, %v; want %s", answer, got, err, number)
			}
		} else if !errors.Is(err, want.(error)) {
			t.Errorf("answer %q: error %v, want %v", answer, err, want)
		}
	}
}

// ATRs of cards, as pcsc-tools lists them; the last ones are damaged.
func TestParseATR(t *testing.T) {
	for atr, want := range map[string]int{
		"3B 81 80 01 80 80": 0, // DESFire
		"3B 80 80 01 01":    0, // ISO 14443-4 without historical bytes
		"3B 8F 80 01 80 4F 0C A0 00 00 03 06 03 00 01 00 00 00 00 6A": 3,    // MIFARE Classic 1K
		"3B 8F 80 01 80 4F 0C A0 00 00 03 06 0B 00 14 00 00 00 00 77": 0x0B, // ISO 15693
		"3B 02 14 50":                0, // contact, T=0: no check byte
		"3B 80 80 01 02":             -1,
		"3B 81 80 01 80":             -1,
		"3B 81 80 01 80 80 00":       -1,
		"00 81 80 01 80 80":          -1,
		"3B":                         -1,
		"":                           -1,
		"3B F0":                      -1,
		"3B 80 80 80 80 80 80 80 80": -1,
	} {
		standard, err := parseATR(unhex(t, atr))
		if want < 0 && !errors.Is(err, errNoise) || want >= 0 && (err != nil || int(standard) != want) {
			t.Errorf("ATR %q: standard %d, %v; want %d", atr, standard, err, want)
		}
	}
}

func TestRandom(t *testing.T) {
	for _, c := range []struct {
		number   []byte
		standard byte
		want     bool
	}{
		{[]byte{0x08, 1, 2, 3}, 0, true},
		{[]byte{0x08, 1, 2, 3}, 3, true},
		{[]byte{0x08, 1, 2, 3}, 7, false}, // type B may have such a number
		{[]byte{0x09, 1, 2, 3}, 3, false},
		{[]byte{0x08, 1, 2, 3, 4, 5, 6}, 3, false},
	} {
		if got := random(c.number, c.standard); got != c.want {
			t.Errorf("number of %d bytes from %02X, standard %d: random %v, want %v", len(c.number), c.number[0], c.standard, got, c.want)
		}
	}
}

func FuzzParseUID(f *testing.F) {
	for _, seed := range []string{"04A1B2C3D4E5809000", "123456789000", "9000", "6A81", "6282", "90", ""} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		number, err := parseUID(answer)
		if err == nil && !bytes.Equal(append(bytes.Clone(number), 0x90, 0x00), answer) {
			t.Errorf("answer % X gives % X", answer, number)
		}
		if err == nil && (len(number) < 4 || len(number) > 10) {
			t.Errorf("a number of %d bytes", len(number))
		}
		if err != nil && len(answer) > 4 && strings.Contains(strings.ToUpper(err.Error()), strings.ToUpper(hex.EncodeToString(answer[:len(answer)-2]))) {
			t.Error("the error tells the card's number")
		}
	})
}

func FuzzParseATR(f *testing.F) {
	for _, seed := range []string{"3B8180018080", "3B80800101", "3B8F8001804F0CA000000306030001000000006A", "3B021450", "3BF0", "3BFF"} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, atr []byte) {
		standard, err := parseATR(atr)
		if err != nil {
			return
		}
		if standard != 0 && !bytes.Contains(atr, append(bytes.Clone(storageCard), standard)) {
			t.Errorf("ATR % X: standard %d from nowhere", atr, standard)
		}
		// Whatever is good is damaged by one bit more or less at the check, if there is one, and by a byte too many.
		if _, err := parseATR(append(bytes.Clone(atr), 0)); err == nil {
			t.Errorf("ATR % X is good with a byte more", atr)
		}
	})
}

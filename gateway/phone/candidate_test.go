package phone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"tapward/gateway"
)

func sighting(name string, key gateway.Fingerprint) Sighting {
	return Sighting{At: start, Name: name, Key: key, Addrs: []netip.AddrPort{netip.MustParseAddrPort("10.77.0.7:7000")}}
}

func seen(r Registry) (names []string) {
	for _, c := range r.Candidates() {
		names = append(names, c.Name)
	}
	return names
}

func keyOf(id string) gateway.Fingerprint { return gateway.FingerprintOf([]byte(id)) }

func TestCandidatesAreTheUnpaired(t *testing.T) {
	none := gateway.Fingerprint{}
	r := NewRegistry([]gateway.Phone{paper("a")})
	for _, s := range []Sighting{
		sighting("a", keyOf("a")),         // paired
		sighting("renamed", keyOf("a")),   // paired, whatever it is called
		sighting("a", none),               // says nothing that a does not say
		sighting("", none),                // says nothing
		sighting("new", keyOf("n")),       //
		sighting("keyless", none),         //
		sighting("a", keyOf("pretender")), // for a person to look at
		sighting("keyless", none),         // seen again
		sighting("renewed", keyOf("n")),   // seen again, by another name
	} {
		r = r.With(s)
	}
	if got, want := seen(r), []string{"renewed", "keyless", "a"}; !slices.Equal(got, want) {
		t.Errorf("candidates %q; want %q, the newest first", got, want)
	}
	if c := r.Candidates()[0]; c.Key != keyOf("n") || c.Address != "10.77.0.7:7000" {
		t.Errorf("candidate %+v", c)
	}

	paired := r.Add(gateway.Phone{ID: "n", Key: keyOf("n")})
	if got, want := seen(paired), []string{"keyless", "a"}; !slices.Equal(got, want) {
		t.Errorf("after one was paired: %q; want %q", got, want)
	}
	if got, want := seen(paired.Remove("n").With(sighting("n", keyOf("n")))), []string{"n", "keyless", "a"}; !slices.Equal(got, want) {
		t.Errorf("after it was forgotten and seen: %q; want %q", got, want)
	}
}

func TestCandidatesAreBounded(t *testing.T) {
	r := NewRegistry([]gateway.Phone{paper("a"), paper("b")})
	for i := range 1000 {
		r = r.With(sighting(fmt.Sprint("forged-", i), keyOf(fmt.Sprint(i))))
	}
	got := seen(r)
	if len(got) != 2*2+16 || got[0] != "forged-999" || got[19] != "forged-980" {
		t.Errorf("%d candidates, %q; want the newest 20", len(got), got)
	}
	if got := len(r.Remove("a").Candidates()); got != 2+16 {
		t.Errorf("%d candidates after a phone was forgotten; want 18", got)
	}
}

func FuzzCandidateName(f *testing.F) {
	f.Add("phone-07")
	f.Add("phone\x1b[2J\r\n07")
	f.Add("\u202eenohp\u200b")
	f.Add("\xff\xfe")
	f.Add(strings.Repeat("é", 40))
	f.Fuzz(func(t *testing.T, name string) {
		for _, c := range (Registry{}).With(sighting(name, keyOf("n"))).Candidates() {
			unfit := strings.ContainsFunc(c.Name, func(r rune) bool { return !unicode.IsPrint(r) })
			if unfit || len(c.Name) > maxName || !utf8.ValidString(c.Name) {
				t.Errorf("%q became %q", name, c.Name)
			}
		}
	})
}

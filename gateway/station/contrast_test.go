package station

import (
	"encoding/hex"
	"math"
	"regexp"
	"strings"
	"testing"
)

var colour = regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6})`)

// Every pair of colours that carries text, in both schemes, has WCAG's contrast of 4.5 to 1.
func TestContrast(t *testing.T) {
	css, err := files.ReadFile("page/station.css")
	if err != nil {
		t.Fatal(err)
	}
	light, rest, ok := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("there is no dark scheme")
	}
	dark, _, _ := strings.Cut(rest, "\n}\n")
	pairs := [][2]string{{"ink", "ground"}, {"ink", "paper"}, {"quiet", "ground"}, {"quiet", "paper"}, {"focus", "paper"}, {"focus", "ground"}}
	for _, look := range []string{"free", "use", "locked", "move", "note", "out", "away"} {
		pairs = append(pairs, [2]string{look, look + "-wash"}, [2]string{"ink", look + "-wash"}, [2]string{look, "paper"})
	}
	for scheme, text := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]string{}
		for _, m := range colour.FindAllStringSubmatch(text, -1) {
			colours[m[1]] = m[2]
		}
		if len(colours) != 20 {
			t.Errorf("%s has %d colours: %v", scheme, len(colours), colours)
		}
		for _, p := range pairs {
			if c := contrast(t, colours[p[0]], colours[p[1]]); c < 4.5 {
				t.Errorf("%s: %s on %s has %.2f to 1", scheme, p[0], p[1], c)
			}
		}
	}
}

// contrast is the ratio of WCAG 2.1, 1.4.3.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	rgb, err := hex.DecodeString(colour)
	if err != nil || len(rgb) != 3 {
		t.Fatalf("%q is not a colour", colour)
	}
	var out float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(rgb[i]) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		out += weight * c
	}
	return out
}

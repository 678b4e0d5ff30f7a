package pcsc

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"tapward/gateway"
)

func TestConfigRefusesAtOnceEverythingWrong(t *testing.T) {
	many := Config{}
	for i := range MaxReaders + 1 {
		many.Readers = append(many.Readers, Reader{gateway.ReaderID(fmt.Sprint(i)), fmt.Sprintf("reader %d", i)})
	}
	for _, c := range []struct {
		config Config
		want   []string
	}{
		{Config{}, []string{"no reader is named"}},
		{many, []string{"17 readers are named, the PC/SC daemon can have 16"}},
		{Config{[]Reader{{"", "A"}, {"door", " * "}, {"door", "B"}, {"desk", "b"}}}, []string{
			"reader 1 has no id", `reader "door" has nothing to match`, `reader "door" is named twice`, `"door" and "desk" both match "b"`,
		}},
	} {
		_, err := New(c.config, slog.New(slog.DiscardHandler))
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("config %v: error %v, want %q in it", c.config, err, want)
			}
		}
	}
}

func TestAssign(t *testing.T) {
	const (
		acr   = "ACS ACR122U PICC Interface 00 00"
		acr2  = "ACS ACR122U PICC Interface 01 00"
		dual  = "ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] (RR554-042) 00 00"
		sam   = "ACS ACR1252 Dual Reader [ACR1252 Dual Reader SAM] (RR554-042) 00 01"
		dual2 = "ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] (RR554-777) 01 00"
	)
	for _, c := range []struct {
		what      string
		matches   []string
		connected []string
		want      []string // names, or a part of the problem after a "!"
	}{
		{"a product", []string{"acr122u"}, []string{dual, acr}, []string{acr}},
		{"the index has moved", []string{"ACR1252*PICC*(RR554-042)"}, []string{strings.Replace(dual, "00 00", "02 00", 1), sam},
			[]string{strings.Replace(dual, "00 00", "02 00", 1)}},
		{"two of one product by their serial numbers", []string{"PICC*RR554-777", "PICC*RR554-042"}, []string{dual, sam, dual2}, []string{dual2, dual}},
		{"parts in the wrong order", []string{"PICC*ACS"}, []string{acr}, []string{`!connected are "` + acr}},
		{"none connected", []string{"ACR122U"}, nil, []string{"!none is connected at all"}},
		{"too wide", []string{"ACR122U", "RR554-777"}, []string{acr, acr2, dual2}, []string{"!2 connected readers", dual2}},
		{"two claim one", []string{"ACR122U", "PICC Interface"}, []string{acr}, []string{"!so does another", "!so does another"}},
	} {
		var readers []Reader
		for i, m := range c.matches {
			readers = append(readers, Reader{gateway.ReaderID(fmt.Sprint(i)), m})
		}
		for i, got := range assign(readers, c.connected) {
			problem, isProblem := strings.CutPrefix(c.want[i], "!")
			if isProblem && (got.name != "" || !strings.Contains(got.problem, problem)) || !isProblem && got != (assignment{name: c.want[i]}) {
				t.Errorf("%s: reader %d gets %+v, want %s", c.what, i, got, c.want[i])
			}
		}
	}
}

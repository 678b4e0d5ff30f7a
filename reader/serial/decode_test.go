package serial

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/reader"
)

var opened = time.Date(2030, 1, 1, 7, 0, 0, 0, time.UTC)

// decode gives the badges in a stream that comes all at once, as hex for EM, and how many bytes were noise.
func decode(config Config, stream string) (badges []string, dropped uint64) {
	f := framer{cutter: config.cutter(), last: opened}
	f.feed(opened, []byte(stream), func(number []byte) { badges = append(badges, shownAs(config, number)) })
	return badges, f.dropped
}

func shownAs(config Config, number []byte) string {
	if config.Protocol.Kind() == gateway.EM {
		return fmt.Sprintf("%X", number)
	}
	return string(number)
}

const vector = "\x0262E3086CED08\x03" // published with the reader: checksum 08

func TestDecode(t *testing.T) {
	long := strings.Repeat("7", 5000)
	hexLine := Config{ID: "door", Device: "/dev/s", Protocol: Line, Digits: 6, Radix: 16, Bits: 20}
	for _, test := range []struct {
		name    string
		config  Config
		stream  string
		badges  []string
		dropped uint64
	}{
		{"published vector", rdm6300, vector, []string{"62E3086CED"}, 0},
		{"lower case", rdm6300, strings.ToLower(vector), []string{"62E3086CED"}, 0},
		{"wrong checksum", rdm6300, "\x0262E3086CED09\x03", nil, 14},
		{"no end", rdm6300, "\x0262E3086CED08\x02", nil, 13},
		{"no hex", rdm6300, "\x0262E3086CEG08\x03", nil, 14},
		{"half a frame before a frame", rdm6300, vector[:7] + vector, []string{"62E3086CED"}, 7},
		{"a frame that loses its end", rdm6300, vector[:13] + vector, []string{"62E3086CED"}, 13},
		{"a start too many", rdm6300, "\x02\x02" + vector, []string{"62E3086CED"}, 2},
		{"noise around", rdm6300, "\xff\x03" + vector + "\x00" + vector + "\x03", []string{"62E3086CED", "62E3086CED"}, 4},
		{"only noise", rdm6300, long, nil, 5000},
		{"the other reader's frame", rdm6300, "\x0262E3086CED08\r\n\x03", nil, 16},

		{"published vector with line end", id12la, "\x0262E3086CED08\r\n\x03", []string{"62E3086CED"}, 0},
		{"without line end", id12la, vector, nil, 14},
		{"half a line end", id12la, "\x0262E3086CED08\r\x03", nil, 15},

		{"line", rfIDeas, "0070401700\r", []string{"0070401700"}, 0},
		{"any line end", rfIDeas, "0070401700\r\n0070401701\n", []string{"0070401700", "0070401701"}, 0},
		{"prompt before", rfIDeas, "RF IDeas>RF IDeas>0070401700\r", []string{"0070401700"}, 0},
		{"answers are no noise", rfIDeas, "{0x00BB,1,0x0000,80;0x00000080 1CD19 31B2F14}\r\nError#1\r\nrfid:cmd.echo\r\nRF IDeas>", nil, 0},
		{"short, long, not decimal", rfIDeas, "704017\r00704017000\r00704017AB\r", nil, 7 + 12 + 11},
		{"two that ran together", rfIDeas, "00704017000070401701\r", nil, 21},
		{"overlong with a good end", rfIDeas, long + "\r0070401700\r", []string{"0070401700"}, 5001},
		{"overlong whose rest looks good", rfIDeas, strings.Repeat("7", 2*maxFrame) + "0070401700\r", nil, 2*maxFrame + 11},

		{"described line", wiegand, "N:0070401700#\r", []string{"0070401700"}, 0},
		{"no prefix", wiegand, "0070401700#\r", nil, 12},
		{"no suffix", wiegand, "N:0070401700\r", nil, 13},
		{"too many bits", wiegand, "N:4294967296#\rN:4294967295#\r", []string{"4294967295"}, 14},
		{"hex in upper case", hexLine, "0abcde\r\n0ABCDE\r\n", []string{"0ABCDE", "0ABCDE"}, 0},
		{"hex with too many bits", hexLine, "1abcde\r\n", nil, 8},
		{"a delimiter in two parts", hexLine, "0abcde\r0abcde\r\n", nil, 15},
	} {
		t.Run(string(test.config.Protocol)+" "+test.name, func(t *testing.T) {
			badges, dropped := decode(test.config, test.stream)
			if !slices.Equal(badges, test.badges) || dropped != test.dropped {
				t.Errorf("badges %q with %d bytes of noise, want %q with %d", badges, dropped, test.badges, test.dropped)
			}
		})
	}
}

// What a pause leaves behind is half a frame; what comes after it begins anew.
func TestPauseEndsAFrame(t *testing.T) {
	for _, test := range []struct {
		config Config
		half   string
	}{
		{rdm6300, vector[:6]},
		{rfIDeas, "00704"},
		{rfIDeas, strings.Repeat("7", 400)},
	} {
		f := framer{cutter: test.config.cutter(), last: opened}
		var badges int
		count := func([]byte) { badges++ }
		whole := frame(t, test.config, numbers(test.config)[0])

		f.feed(opened, []byte(test.half), count)
		f.feed(opened.Add(pause), []byte(whole), count)
		if badges != 1 || f.dropped != uint64(len(test.half)) {
			t.Errorf("%s: %d badges after half a frame and a pause, %d bytes of noise; want one and %d",
				test.config.Protocol, badges, f.dropped, len(test.half))
		}
		f.feed(opened.Add(3*pause), []byte(whole[:6]), count)
		f.feed(opened.Add(4*pause-1), []byte(whole[6:]), count)
		if badges != 2 {
			t.Errorf("%s: a badge in two parts without a pause was not read", test.config.Protocol)
		}
	}
}

// A reader that sends noise only is degraded, once; a badge mends it.
func TestNoiseDegrades(t *testing.T) {
	e := newEar(rfIDeas, 0, opened)
	e.up(false)
	var told []string
	hear := func(stream string) {
		for _, event := range e.hear(chunk{opened, []byte(stream)}) {
			if s, ok := event.(reader.Status); ok {
				told = append(told, s.State.String()+" "+string(s.Reason))
			} else {
				told = append(told, "tap")
			}
		}
	}
	hear(strings.Repeat("x", garbled-2) + "\r")
	hear("0070401700\r") // a badge in time: not degraded
	for range 3 {
		hear(strings.Repeat("x", garbled/2-1) + "\r")
	}
	hear("0070401700\r")
	want := []string{"tap", "degraded reader-garbled", "up reader-recovered", "tap"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

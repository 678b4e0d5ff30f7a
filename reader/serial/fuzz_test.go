package serial

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func FuzzRDM6300(f *testing.F) {
	f.Add([]byte(vector), uint8(1))
	f.Add([]byte(vector[:9]+vector+"\x02\x02"+vector), uint8(3))
	f.Add([]byte("\x0262E3086CED09\x03"), uint8(14))
	fuzz(f, rdm6300)
}

func FuzzID12LA(f *testing.F) {
	f.Add([]byte("\x0262E3086CED08\r\n\x03"), uint8(1))
	f.Add([]byte("\x0262E308\x0262e3086ced08\r\n\x03\xff"), uint8(5))
	fuzz(f, id12la)
}

func FuzzRFIDeas(f *testing.F) {
	f.Add([]byte("RF IDeas>0070401700\r\nError#1\r{0x00BB,1}\r"), uint8(1))
	f.Add([]byte(strings.Repeat("7", 300)+"0070401700\r0070401700\r"), uint8(200))
	fuzz(f, rfIDeas)
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("N:0070401700#\rN:4294967296#\r"), uint8(2))
	f.Add([]byte("N:00704N:0070401700#\r\r\r#N:"), uint8(7))
	fuzz(f, wiegand)
}

// fuzz holds for any bytes in any portions: nothing panics, what waits is bounded, noise is counted and never more than
// what came, the portions make no difference, and every badge found was written in the stream as its reader writes it.
func fuzz(f *testing.F, config Config) {
	f.Fuzz(func(t *testing.T, stream []byte, portion uint8) {
		framer := framer{cutter: config.cutter(), last: opened}
		var badges []string
		upper := bytes.ToUpper(stream)
		for part := range slices.Chunk(stream, int(portion)+1) {
			framer.feed(opened, part, func(number []byte) {
				badges = append(badges, shownAs(config, number))
				again, err := config.Encode(number)
				if err != nil {
					t.Fatalf("a badge was found that no reader sends: %v", err)
				}
				if config.Protocol == RFIDeas {
					again = number // its lines end in more than one way
				}
				if !bytes.Contains(upper, bytes.ToUpper(again)) {
					t.Errorf("badge %q is not in the stream", number)
				}
			})
			if len(framer.waiting) > maxFrame {
				t.Fatalf("%d bytes wait, more than a frame", len(framer.waiting))
			}
		}
		if framer.dropped > uint64(len(stream)) {
			t.Errorf("%d bytes of noise in %d", framer.dropped, len(stream))
		}
		if whole, _ := decode(config, string(stream)); !slices.Equal(badges, whole) {
			t.Errorf("badges %q in portions of %d, %q at once", badges, int(portion)+1, whole)
		}
	})
}

// FuzzDescribedLine lets the description vary too: what New takes, every number it can encode must come back.
func FuzzDescribedLine(f *testing.F) {
	f.Add("N:", "#", "\r", uint8(10), false, []byte("0070401700"))
	f.Add("", "", "", uint8(6), true, []byte("0ABCDE"))
	f.Add("\x02", "", "\x03", uint8(1), true, []byte("F"))
	f.Fuzz(func(t *testing.T, prefix, suffix, delimiter string, digits uint8, hexadecimal bool, number []byte) {
		c := Config{ID: "door", Device: "/dev/s", Protocol: Line, Digits: int(digits), Radix: 10,
			Prefix: prefix, Suffix: suffix, Delimiter: delimiter}
		if hexadecimal {
			c.Radix = 16
		}
		if c.Validate() != nil {
			return
		}
		frame, err := c.Encode(number)
		if err != nil {
			return
		}
		badges, dropped := decode(c, string(frame)+string(frame))
		if !slices.Equal(badges, []string{string(number), string(number)}) || dropped != 0 {
			t.Errorf("%q twice gave %q and %d bytes of noise", frame, badges, dropped)
		}
	})
}

package serial

import (
	"strings"
	"testing"

	"tapward/gateway"
)

func TestValidConfigs(t *testing.T) {
	for _, c := range []Config{rdm6300, id12la, rfIDeas, wiegand,
		{ID: "door", Device: "/dev/ttyAMA0", Baud: 115200, Protocol: Line, Digits: 6, Radix: 16, Repeat: true}} {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", c.Protocol, err)
		}
	}
}

// All that is wrong is said at once, each with the reader's name and a hint.
func TestValidateReportsAllProblems(t *testing.T) {
	for _, test := range []struct {
		name   string
		config Config
		want   []string
	}{
		{"empty", Config{}, []string{"id is empty", "not an absolute path", "protocol"}},
		{"moving device", Config{ID: "door", Device: "/dev/ttyUSB0", Protocol: RDM6300}, []string{"/dev/serial/by-id"}},
		{"speed that no reader has", Config{ID: "door", Device: "/dev/s", Baud: 12345, Protocol: RDM6300}, []string{"baud 12345"}},
		{"digits of a fixed protocol", Config{ID: "door", Device: "/dev/s", Protocol: ID12LA, Digits: 10}, []string{"leave them out"}},
		{"affixes of another protocol", Config{ID: "door", Device: "/dev/s", Protocol: RFIDeas, Digits: 10, Suffix: "#"}, []string{"leave them out"}},
		{"any length", Config{ID: "door", Device: "/dev/s", Protocol: RFIDeas}, []string{"digits 0"}},
		{"text", Config{ID: "door", Device: "/dev/s", Protocol: Line, Digits: 65, Radix: 8, Bits: 257,
			Prefix: strings.Repeat("p", 33), Delimiter: "\r\n\r\n\r"},
			[]string{"digits 65", "radix 8", "bits 257", "32 bytes", "4 bytes"}},
		{"delimiter in prefix", Config{ID: "door", Device: "/dev/s", Protocol: Line, Digits: 8, Prefix: "a\r", Delimiter: "\r"}, []string{"holds the delimiter"}},
		{"delimiter begun in suffix", Config{ID: "door", Device: "/dev/s", Protocol: Line, Digits: 8, Suffix: ";", Delimiter: ";;"}, []string{"holds the delimiter"}},
		{"delimiter with digit", Config{ID: "door", Device: "/dev/s", Protocol: Line, Digits: 8, Delimiter: "E"}, []string{"holds a digit"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.config.Validate()
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Errorf("%d problems, want %d:\n%v", len(lines), len(test.want), err)
			}
			for i, want := range test.want {
				if i < len(lines) && (!strings.Contains(lines[i], want) || !strings.HasPrefix(lines[i], "serial reader ")) {
					t.Errorf("problem %q, want one of the serial reader's about %q", lines[i], want)
				}
			}
			if _, err := New(test.config, nil); err == nil {
				t.Error("New took it")
			}
		})
	}
}

func TestKinds(t *testing.T) {
	for p, want := range map[Protocol]gateway.CredentialKind{
		RDM6300: gateway.EM, ID12LA: gateway.EM, RFIDeas: gateway.Line, Line: gateway.Line,
	} {
		if p.Kind() != want {
			t.Errorf("%s gives %s, want %s", p, p.Kind(), want)
		}
	}
}

func TestEncodeRefusesWhatNoReaderSends(t *testing.T) {
	upper := rfIDeas
	upper.Radix = 16
	for name, test := range map[string]struct {
		config Config
		number string
	}{
		"short EM":           {rdm6300, "\x62\xe3\x08\x6c"},
		"long EM":            {id12la, "\x62\xe3\x08\x6c\xed\x08"},
		"short line":         {rfIDeas, "704017"},
		"letters in decimal": {rfIDeas, "00704017AB"},
		"lower case":         {upper, "00704017ab"},
		"too many bits":      {wiegand, "9999999999"},
		"no protocol":        {Config{}, "1"},
	} {
		if frame, err := test.config.Encode([]byte(test.number)); err == nil {
			t.Errorf("%s: encoded as %q", name, frame)
		}
	}
}

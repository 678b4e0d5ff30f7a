package serial

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/reader"
)

// Config is one serial port with the reader at its other end.
type Config struct {
	// ID names the reader by its place.
	ID gateway.ReaderID `toml:"id"`
	// Device is the port's path. A USB port is given by /dev/serial/by-id/…, which stays the same when it is plugged
	// into another socket.
	Device string `toml:"device"`
	// Baud is the speed; 0 means 9600. Lines are always 8 data bits, no parity, 1 stop bit.
	Baud int `toml:"baud"`
	// Protocol is how the reader writes a badge.
	Protocol Protocol `toml:"protocol"`
	// Repeat says that the reader repeats itself while a badge is there. An RDM6300 always does.
	Repeat bool `toml:"repeat"`

	// Digits (rfideas and line) is how many digits every number has. A line of another length is half a line, or two,
	// and counts as noise: that is why it must be fixed, in the reader's own configuration too.
	Digits int `toml:"digits"`
	// Radix (rfideas and line) is 10 or 16; 0 means 10.
	Radix int `toml:"radix"`
	// Bits (rfideas and line) is how many bits the number may have at most; 0 means as many as the digits can hold.
	Bits int `toml:"bits"`
	// Prefix and Suffix (line) are what surrounds the digits in each line.
	Prefix string `toml:"prefix"`
	Suffix string `toml:"suffix"`
	// Delimiter (line) ends each line; empty means carriage return and line feed.
	Delimiter string `toml:"delimiter"`
}

const (
	maxDigits    = 64
	maxAffix     = 32
	maxDelimiter = 4
)

var bauds = []int{1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200}

// A number given by the kernel in the order of plugging is taken by another device sooner or later.
var movingDevice = regexp.MustCompile(`^/dev/tty(USB|ACM)\d+$`)

// Validate reports all that is wrong at once.
func (c Config) Validate() error {
	var problems []error
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("serial reader %q: "+format, append([]any{c.ID}, args...)...))
	}
	if strings.TrimSpace(string(c.ID)) == "" {
		wrong("id is empty: name the reader by its place")
	}
	switch {
	case !filepath.IsAbs(c.Device):
		wrong("device %q is not an absolute path", c.Device)
	case movingDevice.MatchString(c.Device):
		wrong("device %s changes its number when things are plugged in another order: use its name in /dev/serial/by-id", c.Device)
	}
	if !slices.Contains(bauds, c.baud()) {
		wrong("baud %d is not one of %v", c.Baud, bauds)
	}
	switch c.Protocol {
	case RDM6300, ID12LA:
		if c.Digits != 0 || c.Radix != 0 || c.Bits != 0 {
			wrong("digits, radix and bits are fixed by protocol %s: leave them out", c.Protocol)
		}
	case RFIDeas, Line:
		c.validateDigits(wrong)
	default:
		wrong("protocol %q is not one of %q", c.Protocol, Protocols)
	}
	if c.Protocol == Line {
		c.validateAffixes(wrong)
	} else if c.Prefix != "" || c.Suffix != "" || c.Delimiter != "" {
		wrong("prefix, suffix and delimiter belong to protocol %s: leave them out", Line)
	}
	return errors.Join(problems...)
}

func (c Config) validateDigits(wrong func(string, ...any)) {
	if c.Digits < 1 || c.Digits > maxDigits {
		wrong("digits %d is not between 1 and %d: say how many digits every number has", c.Digits, maxDigits)
	}
	if c.radix() != 10 && c.radix() != 16 {
		wrong("radix %d is neither 10 nor 16", c.Radix)
	}
	if c.Bits < 0 || c.Bits > 4*maxDigits {
		wrong("bits %d is not between 0 and %d", c.Bits, 4*maxDigits)
	}
}

func (c Config) validateAffixes(wrong func(string, ...any)) {
	if len(c.Prefix) > maxAffix || len(c.Suffix) > maxAffix {
		wrong("prefix and suffix may have %d bytes each", maxAffix)
	}
	if len(c.Delimiter) > maxDelimiter {
		wrong("delimiter may have %d bytes", maxDelimiter)
	}
	if strings.ContainsFunc(c.delimiter(), func(r rune) bool { return r < 0x80 && isDigit(byte(r), 16) }) {
		wrong("delimiter %q holds a digit: no line would end where it should", c.Delimiter)
	}
	// Looked for in a whole line, so that a delimiter begun by the prefix and ended by the suffix is found too.
	if line := c.Prefix + "0" + c.Suffix + c.delimiter(); strings.Index(line, c.delimiter()) != len(line)-len(c.delimiter()) {
		wrong("prefix %q or suffix %q holds the delimiter %q: no line would end where it should", c.Prefix, c.Suffix, c.delimiter())
	}
}

func (c Config) baud() int {
	if c.Baud == 0 {
		return 9600
	}
	return c.Baud
}

func (c Config) radix() int {
	if c.Radix == 0 {
		return 10
	}
	return c.Radix
}

func (c Config) delimiter() string {
	if c.Delimiter == "" {
		return "\r\n"
	}
	return c.Delimiter
}

// repeats says that the reader tells of a badge again and again.
func (c Config) repeats() bool { return c.Repeat || c.Protocol == RDM6300 }

// debounceSpan is how long a badge must be away to count anew.
func (c Config) debounceSpan() time.Duration {
	if c.repeats() {
		return reader.Silence
	}
	return reader.Window
}

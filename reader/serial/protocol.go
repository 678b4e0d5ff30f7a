package serial

import (
	"fmt"

	"tapward/gateway"
)

// Protocol is how a reader writes a badge on its line.
type Protocol string

const (
	// RDM6300 (and Seeed's 125 kHz reader): STX, ten hex digits, two of checksum, ETX; repeated while a badge is there.
	RDM6300 Protocol = "rdm6300"
	// ID12LA (and ID-20LA): the same with carriage return and line feed before ETX; once for each presentation.
	ID12LA Protocol = "id-12la"
	// RFIDeas: an rf IDEAS reader's ASCII command protocol; it has a light and a buzzer.
	RFIDeas Protocol = "rfideas"
	// Line is any reader that sends a number as a line of text.
	Line Protocol = "line"
)

// Protocols is every Protocol.
var Protocols = []Protocol{RDM6300, ID12LA, RFIDeas, Line}

// Kind is the kind of the credentials that the protocol gives. The number of gateway.EM is its five bytes; that of
// gateway.Line is the digits as text, in upper case.
func (p Protocol) Kind() gateway.CredentialKind {
	if p == RDM6300 || p == ID12LA {
		return gateway.EM
	}
	return gateway.Line
}

// Encode is the frame in which a reader of this configuration sends number, which is as a credential holds it.
func (c Config) Encode(number []byte) ([]byte, error) {
	switch c.Protocol {
	case RDM6300, ID12LA:
		if len(number) != emBytes {
			return nil, fmt.Errorf("encode badge for %s: want %d bytes, have %d", c.Protocol, emBytes, len(number))
		}
		return encodeEM(number, emTail(c.Protocol)), nil
	case RFIDeas, Line:
		if canonical, ok := c.number(number); !ok || string(canonical) != string(number) {
			return nil, fmt.Errorf("encode badge for %s: want %d digits of radix %d in upper case, in %d bits if any",
				c.Protocol, c.Digits, c.radix(), c.Bits)
		}
		if c.Protocol == RFIDeas {
			return append(append([]byte{}, number...), '\r'), nil
		}
		return []byte(c.Prefix + string(number) + c.Suffix + c.delimiter()), nil
	}
	return nil, fmt.Errorf("encode badge: protocol %q is not one of %q", c.Protocol, Protocols)
}

// cutter is the decoder of this configuration.
func (c Config) cutter() cutter {
	switch c.Protocol {
	case RDM6300, ID12LA:
		return emCutter{emTail(c.Protocol)}
	case RFIDeas:
		return &lineCutter{end: anyLineEnd, read: c.readRFIDeas, prompt: rfPrompt}
	default:
		return &lineCutter{end: lineEnd(c.delimiter()), read: c.readLine}
	}
}

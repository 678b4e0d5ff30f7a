package serial

import (
	"bytes"
	"encoding/hex"
	"strings"
)

// A 125 kHz frame is STX, ten hex digits, two of the XOR of their five bytes, a tail that depends on the reader.
const (
	stx     = 0x02
	etx     = 0x03
	emBytes = 5
	emHex   = 2 * (emBytes + 1)
)

func emTail(p Protocol) string {
	if p == ID12LA {
		return "\r\n\x03"
	}
	return "\x03"
}

// emCutter decodes frames that end in tail.
type emCutter struct{ tail string }

func (emCutter) restart() {}

// cut gives up a frame at its first wrong byte and looks for the next STX right after the old one, so that a whole
// frame behind half a frame is found.
func (e emCutter) cut(buf []byte) (n int, what verdict, number []byte) {
	begin := bytes.IndexByte(buf, stx)
	if begin < 0 {
		return len(buf), noise, nil
	}
	if begin > 0 {
		return begin, noise, nil
	}
	for i, b := range buf[1:min(len(buf), 1+emHex)] {
		if !isDigit(b, 16) {
			return 1 + i, noise, nil
		}
	}
	if len(buf) <= 1+emHex {
		return 0, noise, nil
	}
	tail := buf[1+emHex : min(len(buf), 1+emHex+len(e.tail))]
	if !strings.HasPrefix(e.tail, string(tail)) {
		return 1, noise, nil
	}
	if len(tail) < len(e.tail) {
		return 0, noise, nil
	}
	var frame [emBytes + 1]byte
	hex.Decode(frame[:], buf[1:1+emHex]) // twelve hex digits, checked above
	if frame[emBytes] != checksum(frame[:emBytes]) {
		return 1, noise, nil
	}
	return 1 + emHex + len(e.tail), badge, frame[:emBytes]
}

func encodeEM(number []byte, tail string) []byte {
	digits := hex.EncodeToString(append(bytes.Clone(number), checksum(number)))
	return append([]byte{stx}, strings.ToUpper(digits)+tail...)
}

func checksum(number []byte) (sum byte) {
	for _, b := range number {
		sum ^= b
	}
	return sum
}

func isDigit(b byte, radix int) bool {
	return '0' <= b && b <= '9' || radix == 16 && ('a' <= b && b <= 'f' || 'A' <= b && b <= 'F')
}

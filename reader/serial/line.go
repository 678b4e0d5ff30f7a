package serial

import (
	"bytes"
	"math/big"
)

// lineCutter decodes lines of text.
type lineCutter struct {
	end      func(buf []byte) (length, delimiter int) // of the first line, negative without a delimiter
	read     func(line []byte) (verdict, []byte)
	prompt   string // comes without a delimiter, at the start of a line; empty for none
	overlong bool   // the line under way has grown too long: its rest is noise, however good it looks
}

func (l *lineCutter) restart() { l.overlong = false }

func (l *lineCutter) cut(buf []byte) (n int, what verdict, number []byte) {
	if l.prompt != "" && !l.overlong && bytes.HasPrefix(buf, []byte(l.prompt)) {
		return len(l.prompt), answer, nil
	}
	length, delimiter := l.end(buf)
	if length < 0 {
		if len(buf) <= maxFrame {
			return 0, noise, nil
		}
		l.overlong = true
		return len(buf) - maxDelimiter, noise, nil // the delimiter may have begun
	}
	if l.overlong {
		l.overlong = false
		return length + delimiter, noise, nil
	}
	what, number = l.read(buf[:length])
	return length + delimiter, what, number
}

// lineEnd finds the delimiter of a configured line.
func lineEnd(delimiter string) func([]byte) (int, int) {
	return func(buf []byte) (int, int) { return bytes.Index(buf, []byte(delimiter)), len(delimiter) }
}

// anyLineEnd takes a carriage return, a line feed, or each of both, for an end.
func anyLineEnd(buf []byte) (int, int) { return bytes.IndexAny(buf, "\r\n"), 1 }

// readLine is the number in a configured line.
func (c Config) readLine(line []byte) (verdict, []byte) {
	digits, ok := bytes.CutPrefix(line, []byte(c.Prefix))
	if !ok {
		return noise, nil
	}
	if digits, ok = bytes.CutSuffix(digits, []byte(c.Suffix)); !ok {
		return noise, nil
	}
	number, ok := c.number(digits)
	if !ok {
		return noise, nil
	}
	return badge, number
}

// number checks digits and gives them in upper case.
func (c Config) number(digits []byte) ([]byte, bool) {
	if len(digits) != c.Digits {
		return nil, false
	}
	for _, d := range digits {
		if !isDigit(d, c.radix()) {
			return nil, false
		}
	}
	if c.Bits > 0 {
		value, ok := new(big.Int).SetString(string(digits), c.radix())
		if !ok || value.BitLen() > c.Bits {
			return nil, false
		}
	}
	return bytes.ToUpper(digits), true
}

package serial

import "time"

// pause is how long a frame may be interrupted. At 9600 baud a whole one takes 20 ms; what is older is half a frame.
const pause = 250 * time.Millisecond

// verdict is what a stretch of bytes turned out to be.
type verdict uint8

const (
	noise  verdict = iota // nothing we know
	answer                // the reader's word about something else
	badge                 // a badge's number
)

// cutter takes a stream apart. It is pure but for what it remembers of the stream.
type cutter interface {
	// cut says how many bytes at the start of buf are done with and what they were, with the number of a badge, which
	// may lie in buf. No bytes ask for more of them; that ends at maxFrame.
	cut(buf []byte) (n int, what verdict, number []byte)
	// restart forgets the stream's past: a pause has ended it.
	restart()
}

// maxFrame bounds a frame, a line, and what a cutter may leave waiting.
const maxFrame = 256

// framer finds badges in a port's bytes, whatever else is among them, and counts what it dropped.
type framer struct {
	cutter  cutter
	waiting []byte
	last    time.Time // when bytes last came
	dropped uint64    // bytes of noise
}

// feed takes the bytes that came at a time, and gives each badge's number in turn; it is valid during that call only.
func (f *framer) feed(at time.Time, bytes []byte, yield func(number []byte)) {
	if at.Sub(f.last) >= pause {
		f.dropped += uint64(len(f.waiting))
		f.waiting = f.waiting[:0]
		f.cutter.restart()
	}
	f.last = at
	for len(bytes) > 0 {
		room := min(len(bytes), 2*maxFrame-len(f.waiting))
		f.waiting, bytes = append(f.waiting, bytes[:room]...), bytes[room:]
		f.settle(yield)
	}
}

// settle cuts what can be cut, and leaves at most maxFrame.
func (f *framer) settle(yield func(number []byte)) {
	rest := f.waiting
	for len(rest) > 0 {
		n, what, number := f.cutter.cut(rest)
		if n == 0 && len(rest) <= maxFrame {
			break
		}
		n = max(n, 1)
		if what == badge {
			yield(number)
		} else if what == noise {
			f.dropped += uint64(n)
		}
		rest = rest[n:]
	}
	f.waiting = append(f.waiting[:0], rest...)
}

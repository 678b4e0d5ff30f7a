package serial

import (
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/reader/readertest"
)

var (
	rdm6300 = Config{ID: "door", Device: "/dev/serial/by-id/usb-reader", Protocol: RDM6300}
	id12la  = Config{ID: "door", Device: "/dev/serial/by-id/usb-reader", Protocol: ID12LA}
	rfIDeas = Config{ID: "door", Device: "/dev/serial/by-id/usb-reader", Protocol: RFIDeas, Digits: 10}
	wiegand = Config{ID: "door", Device: "/dev/serial/by-id/usb-reader", Protocol: Line, Digits: 10, Bits: 32,
		Prefix: "N:", Suffix: "#", Delimiter: "\r"}
)

// babbles is what makes no sense in each protocol and yet leaves the next badge whole.
var babbles = map[Protocol]string{
	RDM6300: "\xff\x0062E3\x03\x0262E3086CED99\x03\x0262E308",
	ID12LA:  "\xff\x0062E3\x03\x0262E3086CED99\r\n\x03\x0262E308",
	RFIDeas: "\xfe\x00\x0170401700\r{0x00BB,1,0x0000,80;0x00000080 1CD19 31B2F14}\rError#1\rRF IDeas>12\rRF IDeas>",
	Line:    "N:7040170000\r\xff\rN:99999999999#\rN:9999999999#\r7040170000\r",
}

func stage(t *testing.T, log *slog.Logger, config Config) (*readertest.Stage, *Source) {
	source, err := New(config, log)
	if err != nil {
		t.Fatal(err)
	}
	return &readertest.Stage{
		Source: source, Reader: config.ID, Origin: gateway.OriginSerial, Kind: config.Protocol.Kind(),
		Badges: numbers(config), Feedback: config.Protocol == RFIDeas,
	}, source
}

// The exam on real terminals. Its badges come back at once, so nothing is held back here; the spans have their own
// exam in memory.
func TestExamOnTerminals(t *testing.T) {
	for _, config := range []Config{id12la, rfIDeas, wiegand} {
		t.Run(string(config.Protocol), func(t *testing.T) {
			t.Parallel()
			readertest.Run(t, func(t *testing.T, log *slog.Logger) *readertest.Stage {
				l := newLine(t, config, babbles[config.Protocol])
				s, source := stage(t, log, l.config)
				source.span = 0
				s.Equipment = l
				return s
			})
		})
	}
}

// The exam in memory, with the spans that a ward has.
func TestExamInMemory(t *testing.T) {
	repeated := rfIDeas
	repeated.Repeat = true
	for name, config := range map[string]Config{"rdm6300": rdm6300, "id-12la": id12la, "rfideas that repeats": repeated} {
		t.Run(name, func(t *testing.T) {
			readertest.RunInBubble(t, func(t *testing.T, log *slog.Logger) *readertest.Stage {
				s, source := stage(t, log, config)
				w := &wire{t: t, config: config, plugged: true}
				source.open = w.open
				s.Equipment = w
				t.Cleanup(func() { w.lift(0) })
				return s
			})
		})
	}
}

// wire is a reader on a pipe, in fake time. It repeats itself where its configuration says so.
type wire struct {
	t      *testing.T
	config Config

	mu      sync.Mutex
	plugged bool
	far     net.Conn // the reader's end, while the port is open

	lifted chan struct{} // closed to take the badge away; nil where none lies there
	gone   chan struct{} // closed when it has stopped sending
}

func (w *wire) open() (transport, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.plugged {
		return nil, explain(w.config.Device, fs.ErrNotExist)
	}
	near, far := net.Pipe()
	w.far = far
	go func() { // the reader listens, and makes nothing of it
		for buf := make([]byte, 256); ; {
			if _, err := far.Read(buf); err != nil {
				return
			}
		}
	}()
	return near, nil
}

// say sends to whoever has the port open.
func (w *wire) say(what string) {
	w.mu.Lock()
	far := w.far
	w.mu.Unlock()
	if far != nil {
		far.Write([]byte(what)) // fails where nobody has it open any more
	}
}

// Present has sent the badge once when it returns: a port that is opened later must not hear that.
func (w *wire) Present(badge []byte) {
	what := frame(w.t, w.config, badge)
	w.lifted, w.gone = make(chan struct{}), make(chan struct{})
	w.say(what)
	go w.repeat(what, w.lifted, w.gone)
}

func (w *wire) repeat(what string, lifted <-chan struct{}, gone chan<- struct{}) {
	defer close(gone)
	for w.config.repeats() {
		select {
		case <-lifted:
			return
		case <-time.After(65 * time.Millisecond):
			w.say(what)
		}
	}
}

func (w *wire) Remove() { w.lift(w.config.debounceSpan()) }

func (w *wire) lift(away time.Duration) {
	if w.lifted == nil {
		return
	}
	close(w.lifted)
	<-w.gone
	w.lifted = nil
	<-time.After(away)
}

func (w *wire) Babble() { w.say(babbles[w.config.Protocol]) }

func (w *wire) Unplug() {
	w.mu.Lock()
	w.plugged = false
	if w.far != nil {
		w.far.Close()
	}
	w.mu.Unlock()
	w.lift(0)
}

func (w *wire) Replug() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plugged, w.far = true, nil
}

package serial

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tapward/gateway"
	"tapward/reader"
)

// runs starts source and gives its events and its end.
func runs(t *testing.T, source *Source) (events chan reader.Event, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	events, ended := make(chan reader.Event, 100), make(chan error, 1)
	go func() { ended <- source.Run(ctx, events) }()
	t.Cleanup(cancel)
	return events, func() error { cancel(); return <-ended }
}

func await[E reader.Event](t *testing.T, events <-chan reader.Event) E {
	t.Helper()
	giveUp := time.After(30 * time.Second)
	for {
		select {
		case e := <-events:
			if wanted, ok := e.(E); ok {
				return wanted
			}
		case <-giveUp:
			t.Fatalf("no %T came", *new(E))
		}
	}
}

func newSource(t *testing.T, config Config) (*Source, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	source, err := New(config, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return source, &log
}

// A badge that lies on a repeating reader sends many frames in a row; the kernel gives them in any portions.
func TestRepeatedFramesAreOneTap(t *testing.T) {
	l := newLine(t, rdm6300, "")
	source, _ := newSource(t, l.config)
	events, stop := runs(t, source)
	await[reader.Status](t, events)
	badges := numbers(l.config)
	l.say(strings.Repeat(frame(t, l.config, badges[0]), 50) + frame(t, l.config, badges[1]))
	for i := range 2 {
		if tap := await[reader.Tap](t, events); !tap.Credential.Equal(gateway.NewCredential(gateway.EM, badges[i])) {
			t.Errorf("tap %d is another badge's", i)
		}
	}
	stop()
}

// TIOCEXCL does not keep root out, so the lock must.
func TestAPortIsOneSources(t *testing.T) {
	l := newLine(t, id12la, "")
	first, _ := newSource(t, l.config)
	events, stop := runs(t, first)
	await[reader.Status](t, events)
	second, _ := newSource(t, l.config)
	if err := second.Run(t.Context(), make(chan reader.Event)); !errors.Is(err, errLocked) || !strings.Contains(err.Error(), l.config.Device) {
		t.Errorf("second run: error %v, want one that says that the port is taken", err)
	}
	l.Present(numbers(l.config)[0])
	await[reader.Tap](t, events) // the first was not disturbed
	stop()
	events, stop = runs(t, second)
	await[reader.Status](t, events)
	stop()
}

// A reader that works says nothing of itself; one that works again says that.
func TestAHealthyReaderHasNoNote(t *testing.T) {
	for _, config := range []Config{id12la, rdm6300} {
		l := newLine(t, config, "")
		source, _ := newSource(t, l.config)
		for _, why := range []gateway.Reason{"", gateway.ReaderRecovered, gateway.ReaderRecovered} {
			events, stop := runs(t, source)
			if s := await[reader.Status](t, events); s != (reader.Status{Reader: "door", State: gateway.ReaderUp, Reason: why}) {
				t.Errorf("%s: status %+v, want up for the reason %q and no note", config.Protocol, s, why)
			}
			stop()
		}
	}
}

func TestPortsThatDoNotOpen(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for device, advice := range map[string]string{
		filepath.Join(t.TempDir(), "none"): "plugged in",
		plain:                              "not a serial port",
	} {
		config := id12la
		config.Device = device
		source, _ := newSource(t, config)
		err := source.Run(t.Context(), make(chan reader.Event))
		if err == nil || !strings.Contains(err.Error(), device) || !strings.Contains(err.Error(), advice) {
			t.Errorf("error %v, want one that names %s and says %q", err, device, advice)
		}
	}
}

func TestUnplugSaysSo(t *testing.T) {
	l := newLine(t, id12la, "")
	source, _ := newSource(t, l.config)
	ended, events := make(chan error, 1), make(chan reader.Event, 1)
	go func() { ended <- source.Run(t.Context(), events) }()
	<-events
	l.Unplug()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "unplugged") || errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want one that says that it was unplugged", err)
	}
}

// What a reader sends without end and without sense costs neither memory nor the badges after it.
func TestBabbleOnATerminal(t *testing.T) {
	l := newLine(t, rfIDeas, "")
	source, log := newSource(t, l.config)
	events, stop := runs(t, source)
	await[reader.Status](t, events)
	for range 64 {
		l.say(strings.Repeat("\x00\xff7", 300))
	}
	if s := await[reader.Status](t, events); s.State != gateway.ReaderDegraded || s.Reason != gateway.ReaderGarbled || s.Note == "" {
		t.Errorf("status %+v, want degraded with a note", s)
	}
	l.say("\r" + frame(t, l.config, numbers(l.config)[0]))
	if s := await[reader.Status](t, events); s != (reader.Status{Reader: "door", State: gateway.ReaderUp, Reason: gateway.ReaderRecovered}) {
		t.Errorf("status %+v, want up and no word more", s)
	}
	await[reader.Tap](t, events)
	stop()
	if !strings.Contains(log.String(), "state=degraded") {
		t.Errorf("log %q does not say that the reader was degraded", log)
	}
}

// The reader hears each signal as rf IDEAS commands.
func TestFeedbackOnTheWire(t *testing.T) {
	for signal, want := range map[gateway.Signal]string{
		gateway.Seen:    "rfid:out.led=3\r",
		gateway.Granted: "rfid:out.led=2\rrfid:beep.now=1\r",
		gateway.Refused: "rfid:out.led=1\rrfid:beep.now=3\r",
		gateway.Note:    "rfid:out.led=3\rrfid:out.led=0\rrfid:out.led=3\r",
		gateway.Fault:   "rfid:out.led=1\rrfid:out.led=3\rrfid:out.led=1\r",
	} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			l := newLine(t, rfIDeas, "")
			source, _ := newSource(t, l.config)
			events, stop := runs(t, source)
			await[reader.Status](t, events)
			l.awaitHeard("rfid:out.led=0\r") // it starts dark
			if err := source.Signal(t.Context(), gateway.Feedback{Reader: "door", Signal: signal}); err != nil {
				t.Error(err)
			}
			l.awaitHeard(want)
			stop()
		})
	}
}

// A reader that has stopped listening holds up neither a signal beyond its context, nor a tap, nor the end.
func TestStalledReader(t *testing.T) {
	l := newLine(t, rfIDeas, "")
	source, _ := newSource(t, l.config)
	events, stop := runs(t, source)
	await[reader.Status](t, events)
	l.stall()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := source.Signal(ctx, gateway.Feedback{Reader: "door", Signal: gateway.Granted})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("signal at a stalled reader: error %v, want the deadline's", err)
	}
	l.say(frame(t, l.config, numbers(l.config)[0]))
	await[reader.Tap](t, events)
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("end: error %v, want context.Canceled", err)
	}
}

// stall stops the reader from listening, by stopping the terminal's output as a flow control would.
func (l *line) stall() {
	l.t.Helper()
	const ooff = 0 // TCOOFF
	if err := unix.IoctlSetInt(int(l.slave.Fd()), unix.TCXONC, ooff); err != nil {
		l.t.Fatal(err)
	}
}

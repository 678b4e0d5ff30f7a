package pcsc

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ebfe/scard"

	"tapward/gateway"
	"tapward/reader"
)

// What the readers must be told, byte by byte, as their manuals have it: written out here so that the tables are
// checked against something else than themselves.
var (
	acr122Seen    = []byte{0xFF, 0x00, 0x40, 0x0F, 0x04, 0x00, 0x00, 0x00, 0x00}
	acr122Granted = []byte{0xFF, 0x00, 0x40, 0xAE, 0x04, 0x02, 0x00, 0x01, 0x01}
	acr122Note    = []byte{0xFF, 0x00, 0x40, 0xFC, 0x04, 0x01, 0x01, 0x02, 0x00}
	acr122Refused = []byte{0xFF, 0x00, 0x40, 0x5D, 0x04, 0x01, 0x01, 0x03, 0x01}
	acr122Fault   = []byte{0xFF, 0x00, 0x40, 0xAD, 0x04, 0x01, 0x01, 0x02, 0x00}
)

func light(on byte) []byte { return []byte{0xE0, 0x00, 0x00, 0x29, 0x01, on} }
func sound(on byte) []byte { return []byte{0xE0, 0x00, 0x00, 0x28, 0x01, on} }

func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name    string
		signals [5][][]byte
	}{
		{acr122U, [5][][]byte{{acr122Seen}, {acr122Granted}, {acr122Note}, {acr122Refused}, {acr122Fault}}},
		{acr1252U, [5][][]byte{
			{light(3)},
			{light(2), sound(20)},
			{light(3), light(0), light(3), light(0)},
			{light(1), sound(10), sound(10), sound(10)},
			{light(1), light(3), light(1), light(3)},
		}},
	} {
		inBubble(t, []string{c.name}, func(t *testing.T, b *bench) {
			for signal, want := range c.signals {
				for _, there := range []bool{false, true} {
					if there {
						b.d.insert(c.name, badge(1, 2, 3, 4))
						b.tap("door", 1, 2, 3, 4)
					}
					synctest.Wait()
					before := len(b.d.told(c.name))
					begin := time.Now()
					if err := b.source.Signal(t.Context(), gateway.Feedback{Reader: "door", Signal: gateway.Signal(signal)}); err != nil {
						t.Errorf("%s: %v: %v", c.name, gateway.Signal(signal), err)
					}
					if took := time.Since(begin); took > longestShow {
						t.Errorf("%s: %v took %v", c.name, gateway.Signal(signal), took)
					}
					told := b.d.told(c.name)[before:]
					if !bytes.Equal(bytes.Join(told, nil), bytes.Join(want, nil)) {
						t.Errorf("%s: %v: told % X, want % X", c.name, gateway.Signal(signal), told, want)
					}
					if there {
						b.d.remove(c.name)
					}
				}
			}
		})
	}
}

// So that a beep means granted.
func TestOwnBeepIsSwitchedOff(t *testing.T) {
	for name, want := range map[string][]byte{
		acr122U:  {0xFF, 0x00, 0x52, 0x00, 0x00},
		acr1252U: {0xE0, 0x00, 0x00, 0x21, 0x01, 0x87},
	} {
		inBubble(t, []string{name}, func(t *testing.T, b *bench) {
			synctest.Wait()
			told := b.d.told(name)
			if len(told) == 0 || !bytes.Equal(told[len(told)-1], want) {
				t.Errorf("%s: told % X, want % X", name, told, want)
			}
		})
	}
}

// Without permitted escapes an ACR122U can be told only while a card lies there.
func TestOwnBeepIsSwitchedOffAtTheFirstCard(t *testing.T) {
	inBubble(t, []string{acr122U}, func(t *testing.T, b *bench) {
		b.d.change(func() {
			b.d.fault = func(call string) (bool, error) {
				if call == "control" {
					return false, scard.ErrUnsupportedFeature
				}
				return false, nil
			}
		})
		b.d.unplug(acr122U)
		b.status(gateway.ReaderDown)
		b.d.plug(acr122U)
		for b.next().(reader.Status).State != gateway.ReaderUp {
		}
		synctest.Wait()
		if told := b.d.told(acr122U); len(told) != 0 {
			t.Errorf("told % X without a way to", told)
		}
		err := b.source.Signal(t.Context(), gateway.Feedback{Reader: "door", Signal: gateway.Granted})
		if err == nil || !strings.Contains(err.Error(), "libccid") {
			t.Errorf("signal: %v", err)
		}
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		b.tap("door", 1, 2, 3, 4)
		synctest.Wait()
		if told := b.d.told(acr122U); len(told) != 1 || told[0][2] != 0x52 {
			t.Errorf("told % X at the first card", told)
		}
	})
}

func TestSignalFails(t *testing.T) {
	inBubble(t, []string{acr122U, omnikey}, func(t *testing.T, b *bench) {
		synctest.Wait()
		signal := func(ctx context.Context, id gateway.ReaderID) error {
			return b.source.Signal(ctx, gateway.Feedback{Reader: id, Signal: gateway.Granted})
		}
		if err := signal(t.Context(), "desk"); !errors.Is(err, reader.ErrNoFeedback) {
			t.Errorf("at a reader without a light: %v", err)
		}
		if err := signal(t.Context(), "roof"); err == nil || errors.Is(err, reader.ErrNoFeedback) {
			t.Errorf("at a reader that is not ours: %v", err)
		}
		// Not carried out, and carried out but said to have failed: an error both times, and the reader free after it.
		for _, done := range []bool{false, true} {
			b.d.change(func() {
				b.d.fault = func(call string) (bool, error) {
					if call != "control" {
						return false, nil
					}
					b.d.fault = nil
					return done, scard.ErrCommError
				}
			})
			before := len(b.d.told(acr122U))
			if err := signal(t.Context(), "door"); err == nil {
				t.Error("a failed escape is no error")
			}
			if told := len(b.d.told(acr122U)) - before; (told == 1) != done {
				t.Errorf("told %d times", told)
			}
		}
		b.d.change(func() { b.d.find(acr122U).respond = func([]byte) ([]byte, bool) { return []byte{0x63, 0x00}, true } })
		if err := signal(t.Context(), "door"); err == nil || !strings.Contains(err.Error(), "did not understand") {
			t.Errorf("at a reader that answers otherwise: %v", err)
		}
		b.d.change(func() { b.d.find(acr122U).respond = respondLikeACS })
		if err := signal(t.Context(), "door"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// A reader that hangs while it is told something costs its time and nothing else.
func TestSignalHangs(t *testing.T) {
	for _, uncut := range []bool{false, true} {
		inBubble(t, []string{acr122U}, func(t *testing.T, b *bench) {
			b.d.insert(acr122U, badge(1, 2, 3, 4))
			b.tap("door", 1, 2, 3, 4)
			synctest.Wait()
			hang := make(chan struct{})
			b.d.change(func() { b.d.uncut, b.d.find(acr122U).card.hang = uncut, hang })
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			begin := time.Now()
			if err := b.source.Signal(ctx, gateway.Feedback{Reader: "door"}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("signal: %v", err)
			}
			if took := time.Since(begin); took != 300*time.Millisecond {
				t.Errorf("signal took %v of its 300ms", took)
			}
			b.d.remove(acr122U)
			b.d.insert(acr122U, badge(4, 3, 2, 1))
			b.tap("door", 4, 3, 2, 1)
			close(hang)
			synctest.Wait()
			if err := b.source.Signal(t.Context(), gateway.Feedback{Reader: "door"}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

package pcsc

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ebfe/scard"

	"tapward/gateway"
	"tapward/reader"
)

const (
	acr122U  = "ACS ACR122U PICC Interface 00 00"
	acr1252U = "ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] (RR554-042) 00 00"
	omnikey  = "HID Global OMNIKEY 5022 Smart Card Reader 00 00"
)

// bench is a source on the fake daemon, in a bubble, with everything it has said.
type bench struct {
	t      *testing.T
	d      *fakeDaemon
	source *Source
	events chan reader.Event
	ended  chan error
	stop   context.CancelFunc
	log    *syncBuffer
}

// inBubble runs a source with readers door, desk and dock at these PC/SC names, and waits until they have come up.
func inBubble(t *testing.T, names []string, act func(*testing.T, *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, d: newFake(names...), events: make(chan reader.Event, 64), ended: make(chan error, 1), log: &syncBuffer{}}
		var c Config
		for i, id := range []gateway.ReaderID{"door", "desk", "dock"}[:len(names)] {
			c.Readers = append(c.Readers, Reader{id, names[i][:12]})
		}
		var err error
		b.source, err = newSource(c, b.d, slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		if err != nil {
			t.Fatal(err)
		}
		b.run()
		for range names {
			b.status(gateway.ReaderUp)
		}
		act(t, b)
		b.stop()
		<-b.ended
		b.quiet()
		allGivenBack(t, b.d)
	})
}

func (b *bench) run() {
	ctx, stop := context.WithCancel(b.t.Context())
	b.stop = stop
	go func() { b.ended <- b.source.Run(ctx, b.events) }()
}

// next is the next event; in a bubble, a minute in which nothing comes is never.
func (b *bench) next() reader.Event {
	b.t.Helper()
	select {
	case e := <-b.events:
		return e
	case <-time.After(time.Minute):
		b.t.Fatalf("nothing came; the log is\n%s", b.log)
		return nil
	}
}

func (b *bench) status(state gateway.ReaderState) reader.Status {
	b.t.Helper()
	e := b.next()
	s, ok := e.(reader.Status)
	if !ok || s.State != state {
		b.t.Fatalf("got %T %+v, want a reader %v", e, e, state)
	}
	return s
}

func (b *bench) tap(id gateway.ReaderID, number ...byte) gateway.Tap {
	b.t.Helper()
	e := b.next()
	tap, ok := e.(reader.Tap)
	if !ok || tap.Reader != id || !tap.Credential.Equal(gateway.NewCredential(gateway.UID, number)) {
		b.t.Fatalf("got %T %+v, want the tap at %q", e, e, id)
	}
	return tap.Tap
}

// quiet waits until nothing moves any more, and fails if something was said.
func (b *bench) quiet() {
	b.t.Helper()
	synctest.Wait()
	select {
	case e := <-b.events:
		b.t.Fatalf("nothing should have come: %T %+v", e, e)
	default:
	}
}

func TestReadersComeAndGo(t *testing.T) {
	inBubble(t, []string{acr122U, omnikey}, func(t *testing.T, b *bench) {
		b.d.unplug(omnikey)
		if s := b.status(gateway.ReaderDown); s.Reader != "desk" || s.Reason != gateway.ReaderUnplugged || s.Note == "" {
			t.Errorf("unplugged: %+v", s)
		}
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		b.tap("door", 1, 2, 3, 4)
		moved := strings.Replace(omnikey, "00 00", "01 00", 1)
		b.d.plug(moved)
		if s := b.status(gateway.ReaderUp); s.Reader != "desk" || s.Reason != gateway.ReaderRecovered {
			t.Errorf("plugged in again: %+v", s)
		}
		b.d.insert(moved, badge(4, 3, 2, 1))
		b.tap("desk", 4, 3, 2, 1)
	})
}

func TestReaderListedButNotAnswering(t *testing.T) {
	inBubble(t, []string{acr122U}, func(t *testing.T, b *bench) {
		b.d.change(func() { b.d.find(acr122U).mute = true })
		if s := b.status(gateway.ReaderDown); !strings.Contains(s.Note, "does not answer") {
			t.Errorf("mute: %+v", s)
		}
		time.Sleep(time.Minute)
		b.quiet()
		b.d.change(func() {
			r := b.d.find(acr122U)
			r.mute, r.card = false, badge(1, 2, 3, 4)
		})
		b.status(gateway.ReaderUp)
		b.quiet() // it lay there
		b.d.remove(acr122U)
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		b.tap("door", 1, 2, 3, 4)
	})
}

// A reader out and another in between two waits must not swallow the tap at a third in the same moment.
func TestPlugAndTapAtOnce(t *testing.T) {
	inBubble(t, []string{acr122U, omnikey}, func(t *testing.T, b *bench) {
		synctest.Wait()
		b.d.change(func() {
			b.d.readers = append(b.d.readers, &fakeReader{name: "Another Reader 02 00", respond: respondLikeACS})
			r := b.d.find(omnikey)
			r.card, r.counter = badge(1, 2, 3, 4), r.counter+1
		})
		b.tap("desk", 1, 2, 3, 4)
		b.d.change(func() {
			r := b.d.find(omnikey) // away and back, unseen
			r.counter += 2
		})
		b.tap("desk", 1, 2, 3, 4)
	})
}

func TestSixteenReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake()
		var c Config
		for i := range MaxReaders {
			name := "Reader (" + string(rune('A'+i)) + ") 00 00"
			d.plug(name)
			c.Readers = append(c.Readers, Reader{gateway.ReaderID(name[:10]), name[:10]})
		}
		source, err := newSource(c, d, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		events, ended := make(chan reader.Event, 64), make(chan error, 1)
		go func() { ended <- source.Run(ctx, events) }()
		for range MaxReaders {
			if s, ok := (<-events).(reader.Status); !ok || s.State != gateway.ReaderUp {
				t.Fatalf("%+v", s)
			}
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestBadgesThatMakeNoTap(t *testing.T) {
	swap := badge(1, 2, 3, 4)
	swap.answers = append(swap.answers, badge(5, 6, 7, 8).answers...)
	random := badge(0x08, 2, 3, 4)
	for _, c := range []struct {
		what string
		card *fakeCard
		note string
		show []byte // the ACR122U's command for what it shows
	}{
		{"two at once", swap, "Two badges", acr122Fault},
		{"a number made up", random, "new number at every tap", acr122Refused},
		{"no number", &fakeCard{atr: random.atr, answers: [][]byte{{0x6A, 0x81}}}, "could not be read", acr122Refused},
		{"damaged", &fakeCard{atr: []byte{0x3B, 0x80, 0x80}}, "could not be read", acr122Refused},
	} {
		t.Run(c.what, func(t *testing.T) {
			inBubble(t, []string{acr122U}, func(t *testing.T, b *bench) {
				b.d.insert(acr122U, c.card)
				if s := b.status(gateway.ReaderUp); !strings.Contains(s.Note, c.note) {
					t.Errorf("note %q", s.Note)
				}
				b.quiet()
				if told := b.d.told(acr122U); !bytes.Equal(told[len(told)-1], c.show) {
					t.Errorf("the reader showed % X, want % X", told[len(told)-1], c.show)
				}
				b.d.remove(acr122U)
				b.d.insert(acr122U, badge(9, 9, 9, 9))
				b.tap("door", 9, 9, 9, 9)
				if s := b.status(gateway.ReaderUp); s.Note != "" {
					t.Errorf("after a good badge the note stays: %q", s.Note)
				}
			})
		})
	}
}

func TestAnswerCutShortIsNoTap(t *testing.T) {
	inBubble(t, []string{acr122U}, func(t *testing.T, b *bench) {
		for _, answer := range [][]byte{{}, {0x90}} {
			b.d.insert(acr122U, &fakeCard{atr: badge().atr, answers: [][]byte{answer}})
			b.quiet()
			b.d.remove(acr122U)
			b.quiet()
		}
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		b.tap("door", 1, 2, 3, 4)
	})
}

func TestHangingCardDegradesItsReaderAlone(t *testing.T) {
	for _, uncut := range []bool{false, true} {
		inBubble(t, []string{acr122U, omnikey}, func(t *testing.T, b *bench) {
			b.d.uncut = uncut
			hung := badge(1, 1, 1, 1)
			hung.hang = make(chan struct{})
			begin := time.Now()
			b.d.insert(omnikey, hung)
			b.quiet()
			b.d.insert(acr122U, badge(1, 2, 3, 4))
			b.tap("door", 1, 2, 3, 4)
			if s := b.status(gateway.ReaderDegraded); s.Reader != "desk" || s.Reason != gateway.ReaderSlow || time.Since(begin) != budget {
				t.Errorf("degraded after %v: %+v", time.Since(begin), s)
			}
			b.d.remove(omnikey)
			b.d.insert(omnikey, badge(5, 6, 7, 8))
			if uncut { // nothing is begun before the old one is over, and that is then too late for a tap
				time.Sleep(time.Minute)
				b.quiet()
				close(hung.hang)
			}
			b.tap("desk", 5, 6, 7, 8)
			if s := b.status(gateway.ReaderUp); s.Reader != "desk" || s.Reason != gateway.ReaderRecovered {
				t.Errorf("recovered: %+v", s)
			}
		})
	}
}

func TestReaderKeptByAnotherProgram(t *testing.T) {
	inBubble(t, []string{acr122U}, func(t *testing.T, b *bench) {
		refuse := func(err error) { b.d.change(func() { b.d.find(acr122U).refusing = err }) }
		refuse(scard.ErrSharingViolation)
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		time.Sleep(sharing / 2)
		refuse(nil)
		if tap := b.tap("door", 1, 2, 3, 4); tap.Read < sharing/2 || tap.Read > sharing {
			t.Errorf("read in %v", tap.Read)
		}
		b.d.remove(acr122U)
		refuse(scard.ErrSharingViolation)
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		if s := b.status(gateway.ReaderDegraded); s.Reason != gateway.ReaderTaken || !strings.Contains(s.Note, "Another program") {
			t.Errorf("kept: %+v", s)
		}
		refuse(nil)
	})
}

// A reader that is there and answers at once, with errors, is not called slow.
func TestReaderThatFailsToRead(t *testing.T) {
	inBubble(t, []string{acr122U}, func(t *testing.T, b *bench) {
		refuse := func(err error) { b.d.change(func() { b.d.find(acr122U).refusing = err }) }
		refuse(scard.ErrUnexpected)
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		if s := b.status(gateway.ReaderDegraded); s.Reason != gateway.ReaderFailing || !strings.Contains(s.Note, "fails to read") {
			t.Errorf("failing: %+v", s)
		}
		b.d.remove(acr122U)
		refuse(nil)
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		b.tap("door", 1, 2, 3, 4)
		if s := b.status(gateway.ReaderUp); s.Reason != gateway.ReaderRecovered || s.Note != "" {
			t.Errorf("recovered: %+v", s)
		}
	})
}

// Each call on a card fails once, without or with being carried out: no tap comes of either, and the next is whole.
func TestFailingCalls(t *testing.T) {
	for _, call := range []string{"connect", "transmit"} {
		for _, done := range []bool{false, true} {
			for _, failure := range []scard.Error{scard.ErrRemovedCard, scard.ErrCommError, scard.ErrUnexpected, scard.ErrUnresponsiveCard} {
				inBubble(t, []string{omnikey}, func(t *testing.T, b *bench) {
					b.d.change(func() {
						b.d.fault = func(asked string) (bool, error) {
							if asked != call {
								return false, nil
							}
							b.d.fault = nil
							return done, failure
						}
					})
					b.d.insert(omnikey, badge(1, 2, 3, 4))
					synctest.Wait()
					b.d.remove(omnikey)
					b.d.insert(omnikey, badge(4, 3, 2, 1))
					for {
						e := b.next()
						if s, ok := e.(reader.Status); ok {
							if s.Note == "" {
								t.Errorf("%s fails with %v: status without a word: %+v", call, failure, s)
							}
							continue
						}
						if !e.(reader.Tap).Credential.Equal(gateway.NewCredential(gateway.UID, []byte{4, 3, 2, 1})) {
							t.Errorf("%s fails with %v: a tap of the badge that was not read", call, failure)
						}
						break
					}
					synctest.Wait()
					for len(b.events) > 0 {
						b.status(gateway.ReaderUp)
					}
				})
			}
		}
	}
}

func TestDaemonDiesAndReturns(t *testing.T) {
	inBubble(t, []string{acr122U}, func(t *testing.T, b *bench) {
		b.d.kill()
		if err := <-b.ended; err == nil || !strings.Contains(err.Error(), "is pcscd running") {
			t.Errorf("run ended with %v", err)
		}
		b.run()
		if err := <-b.ended; err == nil || !strings.Contains(err.Error(), "is pcscd running") {
			t.Errorf("run without a daemon ended with %v", err)
		}
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		b.d.restart()
		b.run()
		if s := b.status(gateway.ReaderUp); s.Reason != gateway.ReaderRecovered {
			t.Errorf("up again: %+v", s)
		}
		b.quiet()
		b.d.remove(acr122U)
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		b.tap("door", 1, 2, 3, 4)
	})
}

// A badge that lies on a reader may be found only some time after the daemon has started.
func TestLyingBadgeFoundLate(t *testing.T) {
	inBubble(t, []string{acr122U}, func(t *testing.T, b *bench) {
		b.d.kill()
		<-b.ended
		b.d.restart()
		b.run()
		time.Sleep(500 * time.Millisecond)
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		b.status(gateway.ReaderUp)
		b.quiet()
		b.d.remove(acr122U)
		b.d.insert(acr122U, badge(1, 2, 3, 4))
		b.tap("door", 1, 2, 3, 4)
	})
}

func TestLogTellsNoNumbers(t *testing.T) {
	inBubble(t, []string{acr122U}, func(t *testing.T, b *bench) {
		good, other, random := badge(0xCA, 0xFE, 0xBA, 0xBE), badge(0x11, 0xFE, 0xBA, 0xBE), badge(0x08, 0xFE, 0xBA, 0xBE)
		two := &fakeCard{atr: good.atr, answers: [][]byte{good.answers[0], other.answers[0]}}
		long := &fakeCard{atr: good.atr, answers: [][]byte{append(bytes.Repeat([]byte{0xFE, 0xBA, 0xBE}, 8), 0x90, 0x00)}}
		for _, c := range []*fakeCard{good, random, two, long} {
			b.d.insert(acr122U, c)
			synctest.Wait()
			b.d.remove(acr122U)
			synctest.Wait()
		}
		for len(b.events) > 0 {
			<-b.events
		}
		said := strings.ToLower(b.log.String())
		if strings.Count(said, "badge made no tap") != 3 {
			t.Errorf("the log is\n%s", said)
		}
		for _, form := range []string{"febabe", "fe ba be", "254 186 190"} {
			if strings.Contains(said, form) {
				t.Errorf("the log tells a number:\n%s", said)
			}
		}
	})
}

func TestConfiguredButNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFake(acr122U, strings.Replace(acr122U, "00 00", "01 00", 1))
		source, err := newSource(Config{[]Reader{{"door", "ACR122U"}, {"desk", "OMNIKEY"}}}, d, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		events, ended := make(chan reader.Event, 64), make(chan error, 1)
		go func() { ended <- source.Run(ctx, events) }()
		var notes []string
		for range 2 {
			s := (<-events).(reader.Status)
			if s.State != gateway.ReaderDown {
				t.Errorf("%+v", s)
			}
			notes = append(notes, s.Note)
		}
		if !strings.Contains(notes[0], "2 connected readers") || !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, `No connected reader matches "OMNIKEY"`) }) {
			t.Errorf("notes %q", notes)
		}
		time.Sleep(time.Minute)
		if len(events) > 0 {
			t.Errorf("said again: %+v", <-events)
		}
		stop()
		<-ended
	})
}

package readertest

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/reader"
)

// patience is how long a part waits for something that must happen; only a failing part ever waits that long.
const patience = 30 * time.Second

// candidate is one part's view of its stage: a run of the source, and everything that came out of it.
type candidate struct {
	*Stage
	t      *testing.T
	ctx    context.Context // ends after patience
	log    *record
	events chan reader.Event
	words  []string // notes and errors, to be searched for numbers
}

func sit(t *testing.T, setUp SetUp, run func(*candidate)) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	log := &record{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
	c := &candidate{Stage: setUp(t, logger), t: t, ctx: ctx, log: log, events: make(chan reader.Event)}
	run(c)
	c.noNumbers()
}

// started is a running Run or Supervise.
type started struct {
	c     *candidate
	stop  context.CancelFunc
	ended chan struct{} // closed when err is the run's
	err   error
}

// start runs run, which is Source.Run or something around it, until stopped.
func (c *candidate) start(run func(context.Context, chan<- reader.Event) error) *started {
	ctx, stop := context.WithCancel(c.ctx)
	s := &started{c: c, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.err = labelled(ctx, c.t.Name(), run, c.events)
	}()
	c.t.Cleanup(s.abandon)
	return s
}

// abandon ends a run that a failed part left behind, so that the equipment is not taken apart under it.
func (s *started) abandon() {
	s.stop()
	giveUp := time.After(patience)
	for {
		select {
		case <-s.c.events:
		case <-s.ended:
			return
		case <-giveUp:
			return
		}
	}
}

// end stops the run and gives its error. A tap that comes now was made by nobody.
func (s *started) end() error {
	s.c.t.Helper()
	s.stop()
	return s.wait(noTap(s.c))
}

// noTap hears taps where none can come.
func noTap(c *candidate) func(reader.Tap) {
	return func(reader.Tap) { c.t.Error("a tap that nobody made, or one too many") }
}

// wait waits for the run to end by itself, reading out what it still says.
func (s *started) wait(tapped func(reader.Tap)) error {
	s.c.t.Helper()
	for {
		select {
		case e := <-s.c.events:
			if tap, ok := s.c.hear(e).(reader.Tap); ok {
				tapped(tap)
			}
		case <-s.ended:
			if s.err != nil {
				s.c.words = append(s.c.words, s.err.Error())
			}
			noneLeft(s.c.t)
			return s.err
		case <-s.c.ctx.Done():
			s.c.t.Fatal("the run did not end")
		}
	}
}

// hear keeps what an event says in words.
func (c *candidate) hear(e reader.Event) reader.Event {
	c.words = append(c.words, fmt.Sprintf("%v %+v %#v", e, e, e))
	if s, ok := e.(reader.Status); ok {
		c.words = append(c.words, s.Note)
	}
	return e
}

// next is the next event that fits, passing over statuses that do not; a tap that does not fit fails the part.
func (c *candidate) next(what string, fits func(reader.Event) bool) reader.Event {
	c.t.Helper()
	for {
		select {
		case e := <-c.events:
			if c.hear(e); fits(e) {
				return e
			}
			if _, tap := e.(reader.Tap); tap {
				c.t.Fatalf("waiting for %s: a tap that nobody made, or that was out of order", what)
			}
		case <-c.ctx.Done():
			c.t.Fatalf("waiting for %s: nothing came", what)
		}
	}
}

// await waits for a status of the stage's reader.
func (c *candidate) await(state gateway.ReaderState) reader.Status {
	c.t.Helper()
	return c.next("the reader to be "+state.String(), func(e reader.Event) bool {
		s, ok := e.(reader.Status)
		return ok && s.Reader == c.Reader && s.State == state
	}).(reader.Status)
}

// tapped waits for the tap of a badge, and checks all of it.
func (c *candidate) tapped(badge int) {
	c.t.Helper()
	want := gateway.NewCredential(c.Kind, c.Badges[badge])
	tap := c.next(fmt.Sprintf("the tap of badge %d", badge), func(e reader.Event) bool {
		tap, ok := e.(reader.Tap)
		return ok && tap.Credential.Equal(want)
	}).(reader.Tap)
	if tap.Reader != c.Reader || tap.Origin != c.Origin || tap.At.IsZero() || tap.Read < 0 {
		c.t.Errorf("tap of badge %d: reader %q, origin %q, at %v, read %v; want reader %q, origin %q, a time and a duration",
			badge, tap.Reader, tap.Origin, tap.At, tap.Read, c.Reader, c.Origin)
	}
	if tap.Assurance.Card < gateway.CardNumber || tap.Assurance.Holder != gateway.HolderNone {
		c.t.Errorf("tap of badge %d: assurance %v/%v; want a card that was read and no check of its holder",
			badge, tap.Assurance.Card, tap.Assurance.Holder)
	}
}

// pass presents a badge, sees its tap and takes it away.
func (c *candidate) pass(badge int) {
	c.t.Helper()
	c.Equipment.Present(c.Badges[badge])
	c.tapped(badge)
	c.Equipment.Remove()
}

// noNumbers searches the log, the notes and the errors for badge numbers, in the forms in which they would slip out.
func (c *candidate) noNumbers() {
	text := strings.ToLower(c.log.String() + strings.Join(c.words, "\n"))
	for i, badge := range c.Badges {
		for _, form := range spellings(badge) {
			if strings.Contains(text, form) {
				c.t.Errorf("badge %d's number stands in a log line, a note or an error", i)
			}
		}
	}
}

func spellings(badge []byte) []string {
	digits := hex.EncodeToString(badge)
	spaced := fmt.Sprintf("% x", badge)
	return []string{
		strings.ToLower(string(badge)), digits, spaced, strings.ReplaceAll(spaced, " ", ":"),
		strings.Trim(fmt.Sprint(badge), "[]"), strings.Trim(fmt.Sprintf("%#v", badge)[len("[]byte"):], "{}"),
		new(big.Int).SetBytes(badge).String(),
	}
}

// record keeps a log.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

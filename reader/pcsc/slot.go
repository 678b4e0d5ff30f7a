package pcsc

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"tapward/gateway"
	"tapward/reader"
)

// slot is one configured reader.
type slot struct {
	Reader
	log    *slog.Logger
	lights chan struct{} // a place for whoever drives light and buzzer

	// Set up for one Run.
	ctx        context.Context
	out        chan<- reader.Event
	insertions chan insertion // the newest that is not being read yet
	arrivals   chan string    // the name of a reader that came up, until its worker took note
	seen       presence       // the watcher's alone, and so is
	ready      bool           // whether it has come up

	naming sync.Mutex
	name   string // PC/SC name of the reader that is ours now; empty: none

	telling sync.Mutex    // also keeps statuses in order
	told    reader.Status // the last one sent
	wasUp   bool          // ever
}

// insertion is a badge that was presented and is to be read.
type insertion struct {
	name string // of the reader
	atr  []byte
	at   time.Time
}

func newSlot(r Reader, log *slog.Logger) *slot {
	return &slot{Reader: r, log: log, lights: make(chan struct{}, 1)}
}

func (s *slot) begin(ctx context.Context, settling time.Duration, out chan<- reader.Event) {
	s.ctx, s.out = ctx, out
	s.insertions, s.arrivals = make(chan insertion, 1), make(chan string, 1)
	s.seen, s.ready, s.told = presence{settling: settling}, false, reader.Status{}
}

func (s *slot) end() { s.assign("") }

// assign says which PC/SC reader is ours now.
func (s *slot) assign(name string) {
	s.naming.Lock()
	defer s.naming.Unlock()
	s.name = name
}

func (s *slot) current() string {
	s.naming.Lock()
	defer s.naming.Unlock()
	return s.name
}

// newest puts v into a channel of one, in place of what waits there. Only one goroutine puts.
func newest[T any](c chan T, v T) {
	select {
	case <-c:
	default:
	}
	c <- v
}

// send passes an event on, unless the run ends first.
func (s *slot) send(e reader.Event) {
	select {
	case s.out <- e:
	case <-s.ctx.Done():
	}
}

// down and up are the watcher's word on whether the reader is there.
func (s *slot) down(note string) { s.tell(gateway.ReaderDown, gateway.ReaderUnplugged, note, true) }
func (s *slot) up()              { s.tell(gateway.ReaderUp, "", "", true) }

// well, note and degraded are a worker's word on a reader that is there; when it has gone meanwhile they say nothing.
func (s *slot) well()           { s.tell(gateway.ReaderUp, "", "", false) }
func (s *slot) note(why string) { s.tell(gateway.ReaderUp, "", why, false) }
func (s *slot) degraded(reason gateway.Reason, note string) {
	s.tell(gateway.ReaderDegraded, reason, note, false)
}

// tell sends a status if it is news.
func (s *slot) tell(state gateway.ReaderState, reason gateway.Reason, note string, evenIfDown bool) {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.told.State == gateway.ReaderDown && !evenIfDown || s.told.State == state && s.told.Note == note {
		return
	}
	if state == gateway.ReaderUp && s.told.State != gateway.ReaderUp && s.wasUp {
		reason = gateway.ReaderRecovered
	}
	s.wasUp = s.wasUp || state == gateway.ReaderUp
	s.told = reader.Status{Reader: s.ID, State: state, Reason: reason, Note: note}
	level := slog.LevelInfo
	if state != gateway.ReaderUp {
		level = slog.LevelWarn
	}
	s.log.Log(s.ctx, level, "Reader is "+state.String(), "note", note)
	s.send(s.told)
}

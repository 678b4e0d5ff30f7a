package station

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipeWriter is a connection to a client that reads as it goes.
type pipeWriter struct {
	*io.PipeWriter
	header http.Header
}

func (w pipeWriter) Header() http.Header { return w.header }
func (w pipeWriter) WriteHeader(int)     {}
func (w pipeWriter) Flush()              {}

// client follows one live page, in a bubble.
type client struct {
	lines *bufio.Reader
	leave context.CancelFunc
}

func open(t *testing.T, e Engine, ending chan struct{}) client {
	t.Helper()
	r, w := io.Pipe()
	ctx, leave := context.WithCancel(withCaller(t.Context(), atStation))
	request, err := http.NewRequestWithContext(ctx, "GET", "http://localhost/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := New(e, nil, nil, slog.New(slog.DiscardHandler))
	go func() {
		s.handler(ending).ServeHTTP(pipeWriter{w, http.Header{}}, request)
		w.Close()
	}()
	return client{bufio.NewReader(r), leave}
}

// next reads until the next beat: the fragments that came with it, by id.
func (c client) next(t *testing.T) map[string]string {
	t.Helper()
	got := map[string]string{}
	name := ""
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ended: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		if event, ok := strings.CutPrefix(line, "event: "); ok {
			name = event
		}
		text, ok := strings.CutPrefix(line, "data: ")
		if ok && name == "beat" {
			return got
		}
		if ok {
			var f struct{ ID, HTML string }
			if err := json.Unmarshal([]byte(text), &f); err != nil {
				t.Fatal(err)
			}
			got[f.ID] = f.HTML
		}
	}
}

func TestALivePageGetsWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFake(emptyWard(time.Now()))
		c := open(t, e, make(chan struct{}))
		if first := c.next(t); len(first) != len(fragments) || !strings.Contains(first["phones"], "No phones are paired") {
			t.Errorf("the first picture has %d parts", len(first))
		}
		w := *emptyWard(time.Now())
		w.Taps = busyWard(time.Now()).Taps[:1]
		e.show(&w)
		second := c.next(t)
		if len(second) != 1 || !strings.Contains(second["latest"], "Cleo Specimen") {
			t.Errorf("after one tap %d parts were sent: %v", len(second), second)
		}
		c.leave()
	})
}

// Without any change a live page hears of the box every beat, and its durations go on.
func TestALivePageHearsTheBoxLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFake(busyWard(time.Now()))
		c := open(t, e, make(chan struct{}))
		c.next(t)
		start := time.Now()
		quiet := 0
		for range 8 {
			if len(c.next(t)) == 0 {
				quiet++
			}
		}
		if took := time.Since(start); took > 8*beat {
			t.Errorf("8 beats took %v", took)
		}
		if quiet == 0 || quiet == 8 {
			t.Errorf("%d of 8 beats were quiet; durations change once a minute", quiet)
		}
		c.leave()
	})
}

func TestABurstIsOnePicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFake(emptyWard(time.Now()))
		c := open(t, e, make(chan struct{}))
		c.next(t)
		for range 1000 {
			e.show(busyWard(time.Now()))
		}
		if burst := c.next(t); !strings.Contains(burst["phones"], "Ana Demo") {
			t.Error("the burst's last picture did not come")
		}
		start := time.Now()
		c.next(t)
		if time.Since(start) < beat/2 {
			t.Error("the burst was sent more than once")
		}
		c.leave()
	})
}

func TestALivePageEndsWithTheServerAndWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ending := make(chan struct{})
		e := newFake(emptyWard(time.Now()))
		left, kept := open(t, e, ending), open(t, e, ending)
		left.next(t)
		kept.next(t)
		left.leave()
		if rest, err := io.ReadAll(left.lines); err != nil || len(rest) > 1 {
			t.Errorf("after the client left: %q, %v", rest, err)
		}
		close(ending)
		if rest, err := io.ReadAll(kept.lines); err != nil || len(rest) > 1 {
			t.Errorf("after the server ended: %q, %v", rest, err)
		}
		kept.leave()
	})
}

package station

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"tapward/gateway"
)

const (
	// beat is how often a stream renders without a change: durations on the page go on, and a client knows that the
	// box lives. station.js waits for three of them.
	beat = 15 * time.Second
	// breath is the least time between two pictures on one stream.
	breath = 100 * time.Millisecond
	// patience is how long a client may take to accept a write.
	patience = 10 * time.Second
)

// event is one server-sent event.
type event struct{ name, text string }

// render makes events of a picture; it may remember what it has sent on this stream.
type render func(*gateway.Ward, time.Time) ([]event, error)

// stream answers with server-sent events: all of the ward at once, then what changes, until the client goes away or
// the server ends. start makes the render of one stream.
func (s *Station) stream(ending <-chan struct{}, start func(caller) render) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.streams <- struct{}{}:
			defer func() { <-s.streams }()
		default:
			writeProblem(w, http.StatusServiceUnavailable, "too many pages are open at this box; close one and reload")
			return
		}
		out := http.NewResponseController(w)
		_ = out.SetReadDeadline(time.Time{}) // nothing more is read; without support the server's timeout holds and the client reconnects
		w.Header().Set("Content-Type", "text/event-stream")
		s.follow(r, w, out, ending, start(callerOf(r.Context())))
	}
}

func (s *Station) follow(r *http.Request, w http.ResponseWriter, out *http.ResponseController, ending <-chan struct{}, show render) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		ward, changed := s.engine.Ward()
		events, err := show(ward, time.Now())
		if err != nil {
			s.log.Error("render the ward", "error", err)
			return
		}
		_ = out.SetWriteDeadline(time.Now().Add(patience))
		if _, err := w.Write(encode(append(events, event{"beat", "1"}))); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-time.After(breath):
		case <-ending:
			return
		case <-r.Context().Done():
			return
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-ending:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// encode writes events in the form of the HTML standard, 9.2.
func encode(events []event) []byte {
	var b bytes.Buffer
	for _, e := range events {
		fmt.Fprintf(&b, "event: %s\n", e.name)
		for line := range strings.SplitSeq(e.text, "\n") {
			fmt.Fprintf(&b, "data: %s\n", strings.TrimSuffix(line, "\r"))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// pictures sends each ward whole, as JSON.
func pictures(caller) render {
	var last *gateway.Ward
	return func(w *gateway.Ward, _ time.Time) ([]event, error) {
		if w == last {
			return nil, nil
		}
		last = w
		text, err := json.Marshal(w)
		return []event{{"ward", string(text)}}, err
	}
}

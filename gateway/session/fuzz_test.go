package session

import (
	"encoding/json"
	"testing"
	"time"
)

// FuzzStep reads bytes as a story, one move each, and checks every invariant after every move; and that each step,
// written down as a trace, replays to the same.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0, 40, 40, 40})
	f.Add([]byte("a tap, a hand-off, a restart"))
	f.Add([]byte{1, 9, 33, 47, 52, 8, 11, 46, 44, 7, 7, 30, 29, 28, 27, 26, 25})
	f.Fuzz(func(t *testing.T, story []byte) {
		w := linked(newWorld())
		for _, b := range story[:min(len(story), 64)] {
			moves := w.moves(3, true)
			m := moves[int(b)%len(moves)]
			before := w.clone()
			if _, err := w.play(m, 3); err != nil {
				t.Fatalf("%s: %v", m.name, err)
			}
			before.now = before.now.Add(time.Millisecond)
			replayed(t, &before, m)
		}
	})
}

func replayed(t *testing.T, w *world, m move) {
	e := m.do(w)
	if e == nil {
		return
	}
	after, effects := Step(w.box, e)
	trace, err := NewTrace(e, after, effects)
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(trace)
	if err != nil {
		t.Fatal(err)
	}
	var read Trace
	if err := json.Unmarshal(line, &read); err != nil {
		t.Fatal(err)
	}
	if _, err := read.Replay(w.box); err != nil {
		t.Fatal(err)
	}
}

package session

import (
	"flag"
	"slices"
	"testing"
	"time"

	"tapward/gateway"
)

var (
	depth   = flag.Int("depth", 0, "explore this many moves deep; 0: five, or four with -short")
	healAll = flag.Bool("heal-all", false, "try the way back to order from every state, not from a sample")
)

// TestExplore plays every story of two clinicians and two phones, breadth first, with messages late, out of order,
// repeated and lost, answers that failed although it happened, links that come and go, other boxes and restarts, and
// checks every invariant after every move. The shortest story that breaks one is printed.
func TestExplore(t *testing.T) {
	if *depth == 0 {
		*depth = 5
		if testing.Short() {
			*depth = 4
		}
	}
	for _, c := range []struct {
		name       string
		flights    int
		otherBoxes bool
		story      []string // where the exploration starts
	}{
		{"from the start", 2, false, stories[0]},
		{"from the start, with other boxes", 1, true, stories[0]},
		{"from a session", 2, false, stories[1]},
		{"from a session, with other boxes", 1, true, stories[1]},
		{"from a hand-off", 2, false, stories[2]},
		{"from two sessions", 1, false, stories[3]},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			explore(t, *depth, c.flights, c.otherBoxes, c.story)
		})
	}
}

// stories are where explorations start: nothing has happened, Ana holds a phone, Ben takes it over, both hold one.
var stories = func() [][]string {
	holds := []string{"tap ana", "deliver bind 1 to phone-1", "deliver bound 1 from phone-1", "pick up phone-1"}
	then := func(more ...string) []string { return append(slices.Clone(holds), more...) }
	return [][]string{nil, holds, then("tap ben at phone-1"),
		then("tap ben", "deliver bind 1 to phone-2", "deliver bound 1 from phone-2")}
}()

// node is a world with the way that led to it.
type node struct {
	world
	parent *node
	name   string
}

func explore(t *testing.T, depth, flights int, otherBoxes bool, story []string) {
	first := told(t, linked(newWorld()), flights, otherBoxes, story)
	seen := map[fingerprint]bool{first.key(): true}
	layer := []*node{{world: first}}
	steps, healed := 0, 0
	for range depth {
		var next []*node
		for _, n := range layer {
			for _, m := range n.moves(flights, otherBoxes) {
				w := n.world.clone()
				_, err := w.play(m, flights)
				steps++
				child := &node{parent: n, name: m.name}
				if err != nil {
					t.Fatalf("%v\n%s", err, child.story())
				}
				k := w.key()
				if seen[k] {
					continue
				}
				seen[k] = true
				child.world = w
				next = append(next, child)
				if *healAll || len(seen)%64 == 0 {
					healed++
					if err := heal(w.clone()); err != "" {
						t.Fatalf("never comes back to order: %s\n%s", err, child.story())
					}
				}
			}
		}
		layer = next
	}
	t.Logf("%d states, %d steps, %d moves deep; from %d of them the way back to order was walked", len(seen), steps, depth, healed)
}

// told is the world after a story.
func told(t *testing.T, w world, flights int, otherBoxes bool, story []string) world {
	for _, name := range story {
		moves := w.moves(flights, otherBoxes)
		i := slices.IndexFunc(moves, func(m move) bool { return m.name == name })
		if i < 0 {
			t.Fatalf("the story cannot go on with %q", name)
		}
		if _, err := w.play(moves[i], flights); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// linked is a world in which both phones have said hello.
func linked(w world) world {
	for i, id := range labels {
		w.box, _ = Step(w.box, Seen{w.now, id, w.phones[i].truth()})
	}
	return w
}

func (n *node) story() string {
	var names []string
	for ; n.parent != nil; n = n.parent {
		names = append(names, n.name)
	}
	slices.Reverse(names)
	story := "the story:\n"
	for _, s := range names {
		story += "  " + s + "\n"
	}
	return story
}

// heal lets the world be kind: links come up, everything is delivered, deadlines pass. Whatever went before, nobody may
// then wait any more, and every phone is free, with its owner, elsewhere, or set aside because it said it is not clear.
func heal(w world) string {
	for range 60 {
		w.now = w.now.Add(time.Minute)
		kind := w.moves(8, false)
		pick := func(match func(move) bool) bool {
			i := slices.IndexFunc(kind, match)
			if i < 0 {
				return false
			}
			if _, err := w.play(kind[i], 8); err != nil {
				return false
			}
			return true
		}
		unsettled := -1
		for i, p := range w.box.Phones {
			if p.Phase == Binding || p.Phase == Releasing || p.For != nil || p.Phase == Quarantined && p.Reason != gateway.PhoneNotCleared {
				unsettled = i
			}
		}
		switch {
		case len(w.flight) > 0 && pick(func(m move) bool { return m.name == "deliver "+w.flight[0].String() }):
		case unsettled < 0:
			return ""
		case !w.box.Phones[unsettled].Linked:
			pick(func(m move) bool { return m.name == "link "+string(labels[unsettled]) })
		default:
			pick(func(m move) bool { return m.name == "answer of "+string(labels[unsettled])+" is due" })
		}
	}
	return "still unsettled after sixty kind moves"
}

package session

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"tapward/gateway"
)

var update = flag.Bool("update", false, "write docs/session.md instead of comparing with it")

const document = "../../docs/session.md"

// edge is a way of one phone from phase to phase.
type edge struct {
	from  Phase
	event string
	to    Phase
}

// TestDiagram draws the machine from what Step does, so that the drawing cannot rot.
func TestDiagram(t *testing.T) {
	want := draw(t)
	if *update {
		if err := os.WriteFile(document, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what Step does; read the difference after: go test ./gateway/session -run TestDiagram -update", document)
	}
}

func draw(t *testing.T) []byte {
	edges := map[edge]map[gateway.RecordKind]bool{}
	for _, story := range stories {
		walk(t, 4, story, edges)
	}
	ordered := make([]edge, 0, len(edges))
	for e := range edges {
		ordered = append(ordered, e)
	}
	slices.SortFunc(ordered, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.event, b.event))
	})
	var b bytes.Buffer
	b.WriteString(`# The session machine

Generated from ` + "`session.Step`" + ` by ` + "`go test ./gateway/session -run TestDiagram -update`" + ` and compared in every test run.

## Phases

| phase | what the box may believe |
|---|---|
| free | the phone shows nobody and may be given |
| binding | a bind went out and its receipt is awaited; the phone may already show its owner |
| bound | the phone has confirmed its owner under its signature |
| releasing | a release is out or waits for the link; the phone may still show the owner |
| quarantined | the phone is not proven clear, or was just paired and has yet to prove it; nobody gets it |
| foreign | the phone shows another box's session; only that box, or its absence in a later hello, ends it |

## Diagram

` + "```mermaid\nstateDiagram-v2\n    [*] --> quarantined: Added\n")
	lines := map[[2]Phase][]string{}
	for _, e := range ordered {
		if e.from != e.to {
			k := [2]Phase{e.from, e.to}
			lines[k] = append(lines[k], e.event)
		}
	}
	for _, from := range Phases {
		for _, to := range Phases {
			if names := lines[[2]Phase{from, to}]; names != nil {
				fmt.Fprintf(&b, "    %s --> %s: %s\n", from, to, strings.Join(names, ", "))
			}
		}
	}
	b.WriteString("```\n\n## Table\n\nEvery event is handled in every phase; a pair that is not listed changes nothing of the phone and records\nnothing. The event may be about another phone: where one fails, the next candidate is bound.\n\n")
	b.WriteString("| phase | event | phase after | records |\n|---|---|---|---|\n")
	for _, e := range ordered {
		var kinds []string
		for k := range edges[e] {
			kinds = append(kinds, string(k))
		}
		if e.from == e.to && len(kinds) == 0 {
			continue
		}
		slices.Sort(kinds)
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", e.from, e.event, e.to, strings.Join(kinds, ", "))
	}
	return b.Bytes()
}

// walk explores and notes each phone's way with the records that name it.
func walk(t *testing.T, depth int, story []string, edges map[edge]map[gateway.RecordKind]bool) {
	first := told(t, linked(newWorld()), 2, true, story)
	seen := map[fingerprint]bool{}
	layer := []world{first}
	for range depth {
		var next []world
		for _, from := range layer {
			for _, m := range from.moves(2, true) {
				probe, w := from.clone(), from.clone()
				e := m.do(&probe)
				effects, err := w.play(m, 2)
				if err != nil {
					t.Fatal(err)
				}
				if k := w.key(); !seen[k] {
					seen[k] = true
					next = append(next, w)
				}
				if e == nil {
					continue
				}
				for i, p := range w.box.Phones {
					k := edge{from.box.Phones[i].Phase, label(e), p.Phase}
					for _, eff := range effects {
						if r, ok := eff.(*Record); ok && r.Phone == p.ID {
							if edges[k] == nil {
								edges[k] = map[gateway.RecordKind]bool{}
							}
							edges[k][r.Kind] = true
						}
					}
					if edges[k] == nil && k.from != k.to {
						edges[k] = map[gateway.RecordKind]bool{}
					}
				}
			}
		}
		layer = next
	}
}

func label(e Event) string {
	switch e := e.(type) {
	case Deadline:
		return "Deadline(" + e.Timer.String() + ")"
	case Answered:
		return "Answered(" + e.Receipt.Kind.String() + ")"
	}
	return name(e)
}

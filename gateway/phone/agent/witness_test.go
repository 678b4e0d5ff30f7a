package agent

import (
	"fmt"
	"testing"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

func TestWitnessKeepsTheNewestOfEachBox(t *testing.T) {
	var s State
	for i := range link.MaxCheckpoints + 2 {
		s = s.Witness(gateway.BoxID(fmt.Sprint("box-", i)), "log\n5\nroot\n")
	}
	if len(s.Seen) != link.MaxCheckpoints || s.Seen[0].Box != "box-2" {
		t.Fatalf("%d kept, the oldest of %s", len(s.Seen), s.Seen[0].Box)
	}
	for _, c := range []struct{ told, kept string }{
		{"log\n9\nroot\n", "log\n9\nroot\n"},
		{"log\n9\nother root\n", "log\n9\nroot\n"},
		{"log\n8\nroot\n", "log\n9\nroot\n"},
		{"new epoch\n1\nroot\n", "new epoch\n1\nroot\n"},
	} {
		s = s.Witness("box-2", c.told)
		if last := s.Seen[len(s.Seen)-1]; last != (Checkpoint{"box-2", c.kept}) {
			t.Errorf("told %q, kept %+v", c.told, last)
		}
	}
}

func FuzzWitness(f *testing.F) {
	f.Add("log\n5\nroot\n")
	f.Add("log\n18446744073709551615\nroot\n")
	f.Add("\n5\n")
	f.Add("log")
	f.Fuzz(func(t *testing.T, text string) {
		s := State{}.Witness("west", "log\n5\nroot\n").Witness("west", text)
		if len(s.Seen) != 1 {
			t.Fatalf("%d kept of one box", len(s.Seen))
		}
		origin, size, ok := head(s.Seen[0].Text)
		if !ok || origin == "log" && size < 5 {
			t.Fatalf("kept %q", s.Seen[0].Text)
		}
	})
}

func FuzzGesture(f *testing.F) {
	f.Add("dock", "3")
	f.Add("battery", "101")
	f.Add("charging", "perhaps")
	f.Fuzz(func(t *testing.T, do, with string) {
		g := Gesture{do, with}
		if g.Check() != nil {
			return
		}
		h, _ := Hardware{Battery: -1}.with(g, 0)
		if h.Battery < -1 || h.Battery > 100 || len(h.Slot) > link.MaxWord || len(h.Presented) > link.MaxWord {
			t.Fatalf("%+v made %+v", g, h)
		}
	})
}

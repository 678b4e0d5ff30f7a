package agent

import "testing"

// A phone that was held to a reader and changed hands there is in its new holder's hand, and the next tap at that reader
// is not about it.
func TestPresentationServesOnePassage(t *testing.T) {
	held := Hardware{}.after(Gesture{"undock", ""}).after(Gesture{"present", "door"})
	if h := held.passed(true); h.Presented != "" || !h.PickedUp {
		t.Errorf("after a hand-off at the reader: %+v", h)
	}
	if h := held.passed(false); h.Presented != "" || h.PickedUp {
		t.Errorf("after a return at the reader: %+v", h)
	}
	if h := (Hardware{Slot: "rack-1"}).passed(true); h.PickedUp {
		t.Errorf("bound in its dock: %+v", h)
	}
	for _, g := range []Gesture{{"dock", "rack-1"}, {"undock", ""}} {
		if h := held.after(g); h.Presented != "" {
			t.Errorf("%s left the phone presented", g.Do)
		}
	}
}

func (h Hardware) after(g Gesture) Hardware {
	h, _ = h.with(g, 0)
	return h
}

package agent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// Hardware is what the phone's body says: where it stands, whether somebody holds it, its battery. The device's
// integration reports changes as Gestures; so does a person who plays the phone.
type Hardware struct {
	Battery   int // per cent; -1 unknown
	Charging  bool
	Slot      string // the dock slot it stands in
	PickedUp  bool   // taken from its dock, used, or handed over in hand since its session was bound
	Presented gateway.ReaderID
	until     time.Duration // boot clock: when Presented lapses
}

// presentedFor is how long holding a phone to a reader counts.
const presentedFor = 10 * time.Second

// Gesture is one thing that happens to a phone's body or its radio.
type Gesture struct {
	Do   string `json:"do"`
	With string `json:"with,omitempty"`
}

// gestures is every word that Gesture.Do may be, with what With is.
var gestures = []struct{ do, with string }{
	{"dock", "slot"}, {"undock", ""}, {"pickup", ""}, {"use", ""}, {"present", "reader"}, {"battery", "per cent"},
	{"charging", "yes or no"}, {"drop", ""}, {"offline", ""}, {"online", ""}, {"sleep", ""}, {"wake", ""},
}

// Check says in words what is wrong with a gesture.
func (g Gesture) Check() error {
	i := slices.IndexFunc(gestures, func(k struct{ do, with string }) bool { return k.do == g.Do })
	if i < 0 {
		return fmt.Errorf("gesture %.20q is not one of %s", g.Do, strings.Join(GestureNames(), ", "))
	}
	if want := gestures[i].with; want != "" && g.With == "" {
		return fmt.Errorf("gesture %s needs a %s", g.Do, want)
	}
	if len(g.With) > link.MaxWord {
		return fmt.Errorf("gesture %s: %d characters, at most %d are allowed", g.Do, len(g.With), link.MaxWord)
	}
	switch g.Do {
	case "battery":
		if n, err := strconv.Atoi(g.With); err != nil || n < -1 || n > 100 {
			return fmt.Errorf("gesture battery: %q is not 0 to 100, or -1 for unknown", g.With)
		}
	case "charging":
		if g.With != "yes" && g.With != "no" {
			return fmt.Errorf("gesture charging: %q is not yes or no", g.With)
		}
	}
	return nil
}

// GestureNames is every word that Gesture.Do may be.
func GestureNames() []string {
	var names []string
	for _, k := range gestures {
		names = append(names, k.do)
	}
	return names
}

// with is the hardware after a gesture that passed Check; used says that somebody handled the phone.
func (h Hardware) with(g Gesture, now time.Duration) (after Hardware, used bool) {
	switch g.Do {
	case "dock":
		h.Slot, h.Charging, h.PickedUp, h.Presented = g.With, true, false, ""
	case "undock":
		h.Slot, h.Charging, h.PickedUp, h.Presented = "", false, true, ""
		return h, true
	case "pickup", "use":
		h.PickedUp = true
		return h, true
	case "present":
		h.Presented, h.until = gateway.ReaderID(g.With), now+presentedFor
		return h, true
	case "battery":
		h.Battery, _ = strconv.Atoi(g.With)
	case "charging":
		h.Charging = g.With == "yes"
	}
	return h, false
}

// passed is the hardware after a session was opened or cleared. A presentation serves one passage only: the next tap at
// that reader is not about this phone. Who was handed a phone that was held to the reader has it in hand.
func (h Hardware) passed(opened bool) Hardware {
	h.PickedUp, h.Presented = opened && h.Presented != "", ""
	return h
}

// lapse ends a presentation that is over.
func (h Hardware) lapse(now time.Duration) Hardware {
	if h.Presented != "" && now >= h.until {
		h.Presented = ""
	}
	return h
}

package agent

import (
	"slices"
	"strings"
	"sync"
	"time"

	"tapward/gateway"
)

// Screen is what the phone's lock screen shows.
type Screen string

const (
	ScreenFree         Screen = "free"
	ScreenPreparing    Screen = "preparing" // a session is being opened
	ScreenUnlocked     Screen = "unlocked"
	ScreenLocked       Screen = "locked"
	ScreenClearing     Screen = "clearing"
	ScreenOutOfService Screen = "out-of-service" // something was left, or the device does not lock
)

// View is the phone as a person sees it, at one moment. It is comparable. It holds a person's name: it belongs on the
// phone's own screen and in no log.
type View struct {
	Phone     gateway.PhoneID  `json:"phone"`
	Screen    Screen           `json:"screen"`
	Name      string           `json:"name,omitempty"`
	Box       gateway.BoxID    `json:"box,omitempty"`   // whose session it is
	Boxes     string           `json:"boxes,omitempty"` // linked now, separated by commas
	Why       string           `json:"why,omitempty"`   // a sentence
	LeaseEnd  time.Duration    `json:"-"`               // boot clock; of an unlocked session
	Battery   int              `json:"battery"`         // per cent; -1 unknown
	Charging  bool             `json:"charging,omitempty"`
	Slot      string           `json:"slot,omitempty"`
	PickedUp  bool             `json:"picked_up,omitempty"`
	Presented gateway.ReaderID `json:"presented,omitempty"`
	Asleep    bool             `json:"asleep,omitempty"`
	Offline   bool             `json:"offline,omitempty"`
	Fence     gateway.Fence    `json:"fence"`
}

// View is how the phone looks now; changed is closed when that is no longer so.
func (a *Agent) View() (v View, changed <-chan struct{}) { return a.view.get() }

// Left is how long an unlocked session lasts without a renewal.
func (a *Agent) Left(v View) time.Duration {
	if v.Screen != ScreenUnlocked {
		return 0
	}
	return max(0, v.LeaseEnd-a.cfg.Boot())
}

// look draws the keeper's view.
func (k *keeper) look() View {
	h := k.hardware
	v := View{
		Phone: k.cfg.Phone, Screen: k.screen(), Boxes: k.linked(), Fence: k.state.Fence,
		Battery: h.Battery, Charging: h.Charging, Slot: h.Slot, PickedUp: h.PickedUp, Presented: h.Presented,
		Asleep: k.asleep, Offline: k.offline,
	}
	if x := k.state.Session; x != nil {
		v.Name, v.Box, v.Why, v.LeaseEnd = x.Name, x.Grant.Box, x.Sentence, x.LeaseEnd
		if v.Why == "" {
			v.Why = x.Reason.Sentence()
		}
	}
	return v
}

func (k *keeper) linked() string {
	var ids []string
	for _, w := range k.wires {
		ids = append(ids, string(w.box.ID))
	}
	slices.Sort(ids)
	return strings.Join(slices.Compact(ids), ", ")
}

func (k *keeper) screen() Screen {
	s := k.state
	switch p := s.Pending; {
	case p != nil && (p.Kind == gateway.Release || p.Undo):
		return ScreenClearing
	case s.Leftover || s.LockOwed && !k.acting:
		return ScreenOutOfService
	case p != nil && p.Kind == gateway.Bind:
		return ScreenPreparing
	case s.Session == nil:
		return ScreenFree
	case s.Session.Locked:
		return ScreenLocked
	}
	return ScreenUnlocked
}

// viewBox hands the newest view to whoever looks.
type viewBox struct {
	mu      sync.Mutex
	view    View
	changed chan struct{}
}

func (b *viewBox) set(v View) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil && b.view == v {
		return
	}
	b.view = v
	if b.changed != nil {
		close(b.changed)
	}
	b.changed = make(chan struct{})
}

func (b *viewBox) get() (View, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.view, b.changed
}

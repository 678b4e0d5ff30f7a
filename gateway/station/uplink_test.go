package station

import (
	"strings"
	"testing"
	"time"

	"tapward/gateway"
)

// Without the hospital a nurse reads since when, what waits, and that work goes on; nothing is said of an uplink that is
// well or that nobody wants.
func TestOfflineIsSaidInWords(t *testing.T) {
	now := time.Date(2026, 3, 2, 14, 0, 0, 0, time.Local)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		uplink gateway.Uplink
		banner string
		look   string
		line   string
	}{
		"none":      {gateway.Uplink{State: gateway.NoUplink}, "", "plain", "none configured"},
		"connected": {gateway.Uplink{State: gateway.UplinkConnected, Since: ago(time.Hour), Waiting: 3, Oldest: ago(time.Second)}, "", "free", "connected"},
		"cut off": {
			gateway.Uplink{State: gateway.UplinkCutOff, Since: ago(20 * time.Minute), Waiting: 128, Oldest: ago(65 * time.Minute), Why: "the broker has gone silent"},
			"No connection to the hospital since 13:40. Hand-offs go on without it. 128 records wait here since 12:55.",
			"note", "cut off: the broker has gone silent",
		},
		"one record": {
			gateway.Uplink{State: gateway.UplinkCutOff, Since: ago(time.Minute), Waiting: 1},
			"No connection to the hospital since 13:59. Hand-offs go on without it. 1 record waits here.",
			"note", "cut off",
		},
		"not counted yet": {
			gateway.Uplink{State: gateway.UplinkCutOff, Since: ago(time.Minute)},
			"No connection to the hospital since 13:59. Hand-offs go on without it.", "note", "cut off",
		},
		"joining": {
			gateway.Uplink{State: gateway.UplinkJoining, Since: ago(time.Minute), Code: "1234 5678"},
			"This box asks to join the hospital. Whoever confirms it there must see this code: 1234 5678", "note", "asks to join",
		},
		"refused": {
			gateway.Uplink{State: gateway.UplinkJoining, Why: "this hub is of another site"},
			"This box has not joined the hospital yet. Hand-offs go on without it.",
			"note", "asks to join: this hub is of another site",
		},
	} {
		p := picture(&gateway.Ward{Uplink: c.uplink}, now, 0)
		if p.Offline != c.banner {
			t.Errorf("%s: the banner says %q, want %q", name, p.Offline, c.banner)
		}
		if f := p.Standing[1]; f.Name != "Network" || f.Look != c.look || f.Word != c.line {
			t.Errorf("%s: the line is %+v, want %q and %q", name, f, c.look, c.line)
		}
	}
}

// What keeps records from ever arriving is an alarm, connected or not, and stands on the page.
func TestRecordsThatStayAreAnAlarm(t *testing.T) {
	w := troubledWard(time.Now())
	w.Trouble = "The hospital takes nothing more of epoch 1 of the log until a person has looked"
	page := ask(t, newFake(w), atStation, "GET", "/", "").Body.String()
	for _, words := range []string{w.Trouble, "No connection to the hospital since"} {
		if !strings.Contains(page, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
}

package station

import (
	"strings"
	"testing"
	"time"

	"tapward/gateway"
)

// Red is for what somebody must see to: a count of nothing is quiet, but for phones to give out.
func TestATallyOfNothingIsQuiet(t *testing.T) {
	now := time.Now()
	free, held := aPhone("free", 80), aPhone("bound", 80)
	for name, want := range map[string]struct {
		phones []gateway.WardPhone
		looks  map[string]string
	}{
		"all free": {[]gateway.WardPhone{free}, map[string]string{"free": "free", "in use": "away", "not usable": "away"}},
		"all out":  {[]gateway.WardPhone{held}, map[string]string{"free": "note", "in use": "use", "not usable": "away"}},
		"no phone": {nil, map[string]string{"free": "away", "in use": "away", "not usable": "away"}},
	} {
		got := map[string]string{}
		for _, tally := range picture(&gateway.Ward{Phones: want.phones}, now, 0).Tallies {
			got[tally.Word] = tally.Look
		}
		if len(got) != len(want.looks) {
			t.Errorf("%s: tallies are %v, want %v", name, got, want.looks)
		}
		for word, look := range want.looks {
			if got[word] != look {
				t.Errorf("%s: %q looks %q, want %q", name, word, got[word], look)
			}
		}
	}
}

func aPhone(phase string, battery int) gateway.WardPhone {
	return gateway.WardPhone{ID: "phone-01", Phase: phase, Linked: true, Healthy: true, Battery: battery}
}

// A free phone that would not last looks different from those to take, until it charges.
func TestAFreePhoneThatIsLowLooksSo(t *testing.T) {
	for battery, want := range map[int]string{12: "Low battery", 19: "Low battery", 20: "Free", -1: "Free"} {
		c := phoneCard(aPhone("free", battery), time.Now(), 0)
		if c.Word != want || (c.Note != "") != (want != "Free") {
			t.Errorf("a free phone at %d %% is called %q, with the note %q; want %q", battery, c.Word, c.Note, want)
		}
	}
	charging := aPhone("free", 12)
	charging.Charging = true
	if c := phoneCard(charging, time.Now(), 0); c.Word != "Free" {
		t.Errorf("a phone that charges is called %q", c.Word)
	}
}

// Whoever is refused reads what to do about it, large, and what has just happened stands out from what is long past.
func TestTheLatestTapSaysTheWayOut(t *testing.T) {
	now := time.Now()
	latest := func(at time.Time, signal gateway.Signal, why gateway.Reason) string {
		w := emptyWard(now)
		w.Taps = []gateway.WardTap{{At: at, Reader: "door", Signal: signal, Reason: why}}
		page := ask(t, newFake(w), atStation, "GET", "/", "").Body.String()
		_, rest, _ := strings.Cut(page, `<div id="latest"`)
		said, _, _ := strings.Cut(rest, "</section>")
		return said
	}
	said := latest(now.Add(-time.Minute), gateway.Refused, gateway.UnknownBadge)
	if !strings.Contains(said, gateway.UnknownBadge.Sentence()) || !strings.Contains(said, gateway.UnknownBadge.Remedy()) || !strings.Contains(said, "fresh") {
		t.Errorf("a refusal is shown as %s", said)
	}
	if said := latest(now.Add(-time.Hour), gateway.Refused, gateway.UnknownBadge); strings.Contains(said, "fresh") {
		t.Errorf("what happened an hour ago stands out: %s", said)
	}
	if said := latest(now, gateway.Granted, gateway.CheckOut); strings.Contains(said, "remedy") {
		t.Errorf("who was given a phone is told a way out: %s", said)
	}
}

// A phone that cannot be used says what to do with it.
func TestUnusablePhonesSayWhatToDo(t *testing.T) {
	for want, change := range map[string]func(*gateway.WardPhone){
		"switched on":     func(p *gateway.WardPhone) { p.Linked = false },
		"reports a fault": func(p *gateway.WardPhone) { p.Healthy = false },
		putAside:          func(p *gateway.WardPhone) { p.Phase, p.Reason = "quarantined", gateway.PhoneNotCleared },
		"has shown":       func(p *gateway.WardPhone) { p.Phase, p.Reason = "quarantined", gateway.NewlyPaired },
	} {
		p := aPhone("free", 80)
		change(&p)
		if c := phoneCard(p, time.Now(), 0); !strings.Contains(c.Note, want) {
			t.Errorf("%+v has the note %q, want %q in it", p, c.Note, want)
		}
	}
}

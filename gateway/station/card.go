package station

import (
	"strings"
	"time"
	"unicode/utf8"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// card is a phone as the page shows it. Look is colour; Icon and Word ("In use", "Locked") say the same without it.
type card struct {
	ID, Look, Icon, Word string
	Class, Pool          string
	Who, Next            string
	Long                 bool   // the name needs smaller letters
	Since                string // "since 13:40 · 1 h 12 min"
	Note                 string
	Battery              battery
	Linked               bool
	Lease                string
	Slot                 string
	TakeOver             bool // it has a holder, and the caller may take it over
}

type battery struct {
	Known, Low, Charging bool
	Percent              int
	Width                int // of the charge in the picture, 0 to 18
}

func phoneCard(p gateway.WardPhone, now time.Time, may right) card {
	c := card{
		ID: string(p.ID), Class: string(p.Class), Pool: p.Pool, Who: p.Holder, Next: p.Next,
		Linked: p.Linked, Slot: p.Slot, Battery: batteryOf(p), TakeOver: may&takeOver != 0 && p.Phase == "bound",
	}
	c.Look, c.Icon, c.Word = look(p)
	held := p.Phase == "bound" || p.Phase == "releasing"
	if held && !p.Since.IsZero() {
		c.Since = "since " + clock(p.Since, now) + " · " + span(now.Sub(p.Since))
	}
	if held && p.LeaseEnd.After(now) {
		c.Lease = clock(p.LeaseEnd, now)
	}
	c.Long = utf8.RuneCountInString(c.Who) > longName
	c.Note = note(p)
	if p.Phase == "quarantined" && p.Holder != "" {
		c.Who, c.Note = "", strings.TrimSpace(c.Note+" It may still hold the session of "+p.Holder+".")
	}
	return c
}

// longName is the most characters of a name that a card shows in its largest letters.
const longName = 20

// note is the sentence under a phone, where it says more than the word above it, and what to do with the phone.
func note(p gateway.WardPhone) string {
	switch {
	case p.Phase == "free" && !p.Linked:
		return "See that it is switched on and in reach."
	case p.Phase == "free" && !p.Healthy:
		return "It reports a fault. " + putAside
	case p.Phase == "free" && batteryOf(p).Low:
		return "Put it on charge: it is given out last."
	case p.Reason == "" || p.Phase == "binding" || p.Phase == "bound" && !p.Locked || p.Next != "":
		return ""
	case p.Phase == "quarantined" && p.Reason != gateway.NewlyPaired:
		return p.Reason.Sentence() + " " + putAside
	}
	return p.Reason.Sentence()
}

const putAside = "Put it aside for biomedical engineering."

// look is how a phone stands: the class of its colours, its mark, and the word.
func look(p gateway.WardPhone) (class, icon, word string) {
	switch p.Phase {
	case "free":
		switch {
		case !p.Linked:
			return "away", "away", "No contact"
		case !p.Healthy:
			return "out", "out", "Faulty"
		case batteryOf(p).Low:
			return "note", "charge", "Low battery"
		}
		return "free", "free", "Free"
	case "binding":
		return "move", "move", "Preparing"
	case "bound":
		if p.Locked {
			return "locked", "locked", "Locked"
		}
		return "use", "use", "In use"
	case "releasing":
		return "move", "move", "Clearing"
	case "quarantined":
		return "out", "out", "Out of use"
	case "foreign":
		return "away", "away", "Elsewhere"
	}
	return "out", "out", p.Phase
}

func batteryOf(p gateway.WardPhone) battery {
	if p.Battery < 0 || p.Battery > 100 {
		return battery{}
	}
	return battery{
		Known: true, Percent: p.Battery, Charging: p.Charging,
		Low: p.Battery < phone.LowBattery && !p.Charging, Width: (p.Battery*18 + 50) / 100,
	}
}

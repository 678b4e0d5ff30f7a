package station

import (
	"fmt"
	"time"

	"tapward/gateway"
)

// offline says what a nurse must know of a box without the hospital: since when, what waits, and that work goes on.
func offline(u gateway.Uplink, now time.Time) string {
	switch {
	case u.State == gateway.UplinkJoining && u.Code != "":
		return fmt.Sprintf("This box asks to join the hospital. Whoever confirms it there must see this code: %s", u.Code)
	case u.State == gateway.UplinkJoining:
		return "This box has not joined the hospital yet. " + goesOn
	case u.State != gateway.UplinkCutOff:
		return ""
	}
	return "No connection to the hospital since " + clock(u.Since, now) + ". " + goesOn + waiting(u, now)
}

const goesOn = "Hand-offs go on without it."

func waiting(u gateway.Uplink, now time.Time) string {
	words := fmt.Sprintf(" %d records wait here", u.Waiting)
	switch u.Waiting {
	case 0:
		return "" // or not counted yet
	case 1:
		words = " 1 record waits here"
	}
	if !u.Oldest.IsZero() {
		words += " since " + clock(u.Oldest, now)
	}
	return words + "."
}

// network is the line about the uplink, with the reason for IT.
func network(u gateway.Uplink) fact {
	f := graded("Network", string(u.State), map[string]string{
		string(gateway.UplinkConnected): "free", string(gateway.NoUplink): "plain",
	})
	if u.Why != "" {
		f = graded("Network", string(u.State)+": "+u.Why, nil)
	}
	return f
}

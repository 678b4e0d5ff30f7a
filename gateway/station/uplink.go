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
		return "This box has not joined the hospital yet. Phones are handed out and taken back as always."
	case u.State != gateway.UplinkCutOff:
		return ""
	}
	words := "No connection to the hospital"
	if !u.Since.IsZero() {
		words += " since " + clock(u.Since, now)
	}
	return words + ". Phones are handed out and taken back as always. " + waiting(u, now)
}

func waiting(u gateway.Uplink, now time.Time) string {
	records, wait := fmt.Sprintf("%d records", u.Waiting), "wait"
	switch u.Waiting {
	case 0:
		return "No record waits to be sent."
	case 1:
		records, wait = "1 record", "waits"
	}
	if !u.Oldest.IsZero() {
		wait += ", since " + clock(u.Oldest, now) + ","
	}
	return records + " " + wait + " to be sent when it is back."
}

// network is the line about the uplink, with the reason for IT.
func network(u gateway.Uplink) fact {
	f := graded("Network", string(u.State), map[string]string{
		string(gateway.UplinkConnected): "free", string(gateway.NoUplink): "plain",
	})
	if u.Why != "" {
		f.Word += ": " + u.Why
	}
	return f
}

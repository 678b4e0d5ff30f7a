package agent

import (
	"time"

	"tapward/gateway/phone/link"
)

// gestured applies a gesture. A phone that sleeps notices nothing but being woken.
func (k *keeper) gestured(g Gesture) error {
	now := k.now()
	if k.asleep && g.Do != "wake" {
		return ErrAsleep
	}
	switch g.Do {
	case "sleep":
		k.asleep = true
	case "wake":
		k.asleep = false
		for _, w := range k.wires {
			w.heard = now // nothing could be heard meanwhile
		}
	case "offline", "drop":
		k.offline = g.Do == "offline"
		k.cut(func(*wire) bool { return true })
	case "online":
		k.offline = false
		k.wakeDialler()
	default:
		k.handled(g, now)
	}
	return nil
}

// handled applies what a person does with the phone's body. That it left its dock is stored at once: what it says when
// it comes back rests on that.
func (k *keeper) handled(g Gesture, now time.Duration) {
	var used bool
	slot := k.hardware.Slot
	if k.hardware, used = k.hardware.with(g, now); used {
		k.state, k.unstored = k.state.Touch(now), true
	}
	moved := slot != "" && k.hardware.Slot != slot
	if (g.Do == "undock" || moved) && k.state.Session != nil && !k.state.Left() {
		k.state = k.state.Leave()
		k.save()
	}
}

// beat is the regular status. What may wait is stored at the latest now; links that brought nothing for long are cut.
func (k *keeper) beat() {
	if k.unstored {
		k.save()
	}
	now := k.now()
	k.cut(func(w *wire) bool { return now-w.heard >= link.DeadAfter })
	k.tell()
}

// tell sends everyone the status.
func (k *keeper) tell() {
	for _, w := range k.wires {
		k.report(w)
	}
}

// report sends one link the status.
func (k *keeper) report(w *wire) {
	now := k.now()
	m := k.status()
	m.LeaseLeft = int64(k.state.LeaseLeft(now) / time.Second)
	w.status(m, now)
}

// status is the phone's status without a challenge and without what only time changes.
func (k *keeper) status() link.StatusMessage {
	h := k.hardware
	return link.StatusMessage{
		Battery: h.Battery, Charging: h.Charging, Slot: h.Slot, PickedUp: h.PickedUp, Left: k.state.Left(), Presented: h.Presented,
		Healthy: k.state.Healthy(),
		Locked:  k.state.Truth().Locked,
	}
}

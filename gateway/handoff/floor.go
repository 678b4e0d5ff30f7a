package handoff

import (
	"time"

	"tapward/gateway/audit"
)

// floor is a moment that has surely passed: a clock that was synchronised said so. A box may boot in 1970, and a wall
// clock may be set to anything; neither makes a right that has ended good again.
type floor struct {
	at     time.Time     // without a monotonic reading, which would hide that the wall clock was set
	uptime time.Duration // on the boot clock, at that moment
}

// raised is the floor after a moment that a synchronised clock told. It never falls.
func (f floor) raised(at time.Time, uptime time.Duration) floor {
	if at = at.Round(0); at.After(f.at) {
		return floor{at, uptime}
	}
	return f
}

// judged is the time by which it is decided whether something has ended: the wall clock's, but never below the floor.
// While the wall clock cannot be believed, the floor itself goes on with the boot clock.
func (f floor) judged(wall time.Time, uptime time.Duration, synchronised bool) time.Time {
	least := f.at
	if !synchronised && !least.IsZero() {
		least = least.Add(max(0, uptime-f.uptime))
	}
	if wall = wall.Round(0); wall.Before(least) {
		return least
	}
	return wall
}

// clockJump is how far the wall clock may have gone from the boot clock since it was last found synchronised. More was a
// step, of which nobody has yet said that it was right.
const clockJump = 2 * time.Second

// believed is the state of the wall clock as of now.
func (e *Engine) believed(now time.Time, uptime time.Duration) audit.Clock {
	if e.clock != audit.Synchronised {
		return e.clock
	}
	drift := now.Round(0).Sub(e.agreed.at) - (uptime - e.agreed.uptime)
	if drift.Abs() > clockJump {
		return audit.ClockUnknown
	}
	return audit.Synchronised
}

// judged is the time by which people's rights end.
func (e *Engine) judged(now time.Time) time.Time {
	uptime := e.cfg.Uptime()
	return e.floor.judged(now, uptime, e.believed(now, uptime) == audit.Synchronised)
}

// raiseFloor learns from leaves that are durable now, so that the box knows as much after a restart.
func (e *Engine) raiseFloor(entries []audit.Entry) {
	for _, entry := range entries {
		if entry.Clock == audit.Synchronised {
			e.floor = e.floor.raised(entry.At, entry.Uptime)
		}
	}
}

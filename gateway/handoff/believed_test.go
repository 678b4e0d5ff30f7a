package handoff

import (
	"testing"
	"time"

	"tapward/gateway/audit"
)

// What a wall clock may say, and what is made of it.
func TestFloor(t *testing.T) {
	day := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	f := floor{}.raised(day, time.Hour)
	if back := f.raised(day.Add(-time.Hour), 2*time.Hour); back != f {
		t.Errorf("an earlier time lowered it to %v", back)
	}
	for name, c := range map[string]struct {
		wall         time.Time
		uptime       time.Duration
		synchronised bool
		want         time.Time
	}{
		"booted in 1970":             {time.Unix(9, 0), 0, false, day},
		"1970, three hours on":       {time.Unix(9, 0), 4 * time.Hour, false, day.Add(3 * time.Hour)},
		"set back, synchronised":     {day.Add(-time.Minute), 4 * time.Hour, true, day},
		"right":                      {day.Add(3 * time.Hour), 4 * time.Hour, true, day.Add(3 * time.Hour)},
		"ahead, not synchronised":    {day.AddDate(1, 0, 0), 4 * time.Hour, false, day.AddDate(1, 0, 0)},
		"an uptime that cannot be":   {time.Unix(9, 0), time.Minute, false, day},
		"slow, and not synchronised": {day.Add(time.Hour), 4 * time.Hour, false, day.Add(3 * time.Hour)},
	} {
		if got := f.judged(c.wall, c.uptime, c.synchronised); !got.Equal(c.want) {
			t.Errorf("%s: judged by %v, want %v", name, got, c.want)
		}
	}
	if got := (floor{}).judged(day, time.Hour, false); !got.Equal(day) {
		t.Errorf("a box that knows no time judges by %v", got)
	}
}

// The clock was synchronised, and then somebody set it: what it says now is not believed until it is found synchronised
// again, so that no leaf raises the floor by it.
func TestSteppedClockIsNotBelieved(t *testing.T) {
	day := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	e := &Engine{clock: audit.Synchronised, agreed: floor{day, time.Hour}, floor: floor{day, time.Hour}}
	for step, want := range map[time.Duration]audit.Clock{
		0: audit.Synchronised, time.Second: audit.Synchronised, time.Minute: audit.ClockUnknown, -time.Minute: audit.ClockUnknown,
	} {
		if got := e.believed(day.Add(5*time.Minute+step), time.Hour+5*time.Minute); got != want {
			t.Errorf("%v off: %s, want %s", step, got, want)
		}
	}
	e.raiseFloor([]audit.Entry{
		{At: day.AddDate(14, 0, 0), Clock: audit.ClockUnknown, Uptime: 2 * time.Hour},
		{At: day.AddDate(14, 0, 0), Clock: audit.NotSynchronised, Uptime: 2 * time.Hour},
	})
	if !e.floor.at.Equal(day) {
		t.Errorf("a clock that is not synchronised raised the floor to %v", e.floor.at)
	}
	e.raiseFloor([]audit.Entry{{At: day.Add(time.Hour), Clock: audit.Synchronised, Uptime: 2 * time.Hour}})
	if !e.floor.at.Equal(day.Add(time.Hour)) {
		t.Errorf("a synchronised leaf left the floor at %v", e.floor.at)
	}
}

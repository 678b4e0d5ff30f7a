package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
)

// The floor is the newest synchronised leaf's time and what boot clocks have counted since, over restarts; whatever an
// unsynchronised clock says raises nothing.
func TestFloor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	day := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	boot := func(id string, want time.Time, uptime time.Duration, entries ...audit.Entry) {
		t.Helper()
		c := config(t, path)
		c.BootID = id
		s := open(t, c)
		defer shut(t, s)
		for _, e := range entries {
			e.Record = gateway.Record{Kind: gateway.OperatorActed, Operator: "op", State: "\x06\x6csynchronised"}
			if _, err := s.Commit(t.Context(), session.State{Box: "box-1"}, []audit.Entry{e}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Floor(t.Context(), uptime)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: the floor is %v, want %v (%v)", id, got, want, err)
		}
	}
	entry := func(at time.Time, clock audit.Clock, up time.Duration) audit.Entry {
		return audit.Entry{At: at, Clock: clock, Uptime: up}
	}
	boot("boot-1", time.Time{}, time.Hour, entry(day, audit.NotSynchronised, time.Minute), entry(day, audit.ClockUnknown, time.Minute))
	boot("boot-2", day.Add(2*time.Hour), 3*time.Hour,
		entry(day.Add(-time.Hour), audit.Synchronised, time.Minute), entry(day, audit.Synchronised, time.Hour),
		entry(day.AddDate(14, 0, 0), audit.NotSynchronised, 2*time.Hour)) // somebody set the clock far ahead
	boot("boot-3", day.Add(time.Hour+5*time.Minute), 5*time.Minute) // from here on it is 1970 again
	boot("boot-3", day.Add(time.Hour+30*time.Minute), 20*time.Minute, entry(time.Unix(9, 0), audit.NotSynchronised, 30*time.Minute))
	boot("boot-4", day.Add(time.Hour+40*time.Minute), 10*time.Minute)
}

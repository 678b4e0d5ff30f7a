package reader_test

import (
	"encoding/binary"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/reader"
)

var start = time.Date(2030, 1, 1, 7, 0, 0, 0, time.UTC)

func em(n uint32) gateway.Credential {
	return gateway.NewCredential(gateway.EM, binary.BigEndian.AppendUint32(nil, n))
}

type step struct {
	after  time.Duration // since start
	reader gateway.ReaderID
	badge  uint32
	admit  bool
}

func play(t *testing.T, d reader.Debounce, steps []step) {
	t.Helper()
	for i, s := range steps {
		if got := d.Admit(s.reader, em(s.badge), start.Add(s.after)); got != s.admit {
			t.Errorf("step %d, badge %d at %q after %v: admitted %v, want %v", i, s.badge, s.reader, s.after, got, s.admit)
		}
	}
}

func TestOnceHoldsRepeatsBack(t *testing.T) {
	const ms = time.Millisecond
	play(t, reader.Once(reader.Window), []step{
		{0, "door", 1, true},
		{100 * ms, "door", 1, false},
		{1999 * ms, "door", 1, false}, // repeats do not lengthen the span
		{2000 * ms, "door", 1, true},
	})
}

func TestOnceNeverHoldsAnotherBack(t *testing.T) {
	play(t, reader.Once(reader.Window), []step{
		{0, "door", 1, true},
		{0, "door", 2, true},
		{0, "dock", 1, true},
		{1, "door", 1, false},
		{1, "door", 2, false},
		{1, "dock", 1, false},
	})
}

func TestKindsAreDifferentBadges(t *testing.T) {
	d := reader.Once(reader.Window)
	number := []byte{1, 2, 3, 4}
	if !d.Admit("door", gateway.NewCredential(gateway.EM, number), start) ||
		!d.Admit("door", gateway.NewCredential(gateway.UID, number), start) {
		t.Error("equal bytes of two technologies were taken for one badge")
	}
}

func TestRepeatingCountsAfterSilence(t *testing.T) {
	const ms = time.Millisecond
	steps := []step{{600 * ms, "door", 1, true}}
	for at := 650 * ms; at < 10*time.Second; at += 65 * ms { // lies there for long
		steps = append(steps, step{at, "door", 1, false})
	}
	last := steps[len(steps)-1].after
	steps = append(steps,
		step{last + 499*ms, "door", 1, false},
		step{last + 600*ms, "door", 2, true},
		step{last + 999*ms, "door", 1, true},
	)
	play(t, reader.Repeating(reader.Silence, start), steps)
}

func TestRepeatingIgnoresWhatLiesThere(t *testing.T) {
	const ms = time.Millisecond
	play(t, reader.Repeating(reader.Silence, start), []step{
		{30 * ms, "door", 1, false},
		{400 * ms, "door", 1, false},
		{800 * ms, "door", 1, false},
		{850 * ms, "door", 2, true},
		{1300 * ms, "door", 1, true},
	})
}

func TestClockWentBack(t *testing.T) {
	play(t, reader.Once(reader.Window), []step{
		{time.Hour, "door", 1, true},
		{0, "door", 1, true},
		{time.Second, "door", 1, false},
	})
}

// Whoever drums on a reader with many badges must not make it remember them all.
func TestDebounceIsBounded(t *testing.T) {
	d := reader.Once(reader.Window)
	for badge := range uint32(100_000) {
		if !d.Admit("door", em(badge), start) {
			t.Fatalf("badge %d was held back by another", badge)
		}
	}
	if d.Admit("door", em(99_999), start) {
		t.Error("the newest badge was forgotten")
	}
	if !d.Admit("door", em(0), start) {
		t.Error("the oldest badge of many is still remembered")
	}
}

func TestZeroDebounceHoldsNothingBack(t *testing.T) {
	play(t, reader.Debounce{}, []step{{0, "door", 1, true}, {0, "door", 1, true}})
}

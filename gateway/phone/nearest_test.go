package phone

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tapward/gateway"
)

// here is a phone that is linked and well.
func here(r Registry, id gateway.PhoneID, edit func(*Status)) Registry {
	s := Status{At: at(1), Phone: id, Battery: 50, Healthy: true}
	edit(&s)
	return r.Add(paper(id)).With(Linked{At: at(0), Phone: id}).With(s)
}

func battery(percent int) func(*Status) { return func(s *Status) { s.Battery = percent } }

var ward3 = gateway.Place{Reader: "door", Pool: "ward-3"}

func everyone(gateway.PhoneID) bool { return true }

func TestNearestOrder(t *testing.T) {
	var r Registry
	r = here(r, "90", battery(90))
	r = here(r, "50-b", battery(50))
	r = here(r, "50-a", battery(50))
	r = here(r, "50-used", battery(50)).Used("50-used", at(9))
	r = here(r, "50-long-ago", battery(50)).Used("50-long-ago", at(2))
	r = here(r, "floor", battery(LowBattery))
	r = here(r, "unknown", battery(-1))
	r = here(r, "low", battery(LowBattery-1))
	r = here(r, "empty", battery(0))
	r = here(r, "taken", battery(99))
	r = here(r, "picked", func(s *Status) { s.PickedUp = true })
	r = here(r, "ill", func(s *Status) { s.Healthy = false })
	r = here(r, "away", battery(99)).With(Unlinked{Phone: "away"})
	r = r.Add(paper("never")).Add(paper("silent")).With(Linked{Phone: "silent"})
	other := paper("other")
	other.Pool = "ward-4"
	r = here(r, "other", battery(99)).Add(other)

	free := func(id gateway.PhoneID) bool { return id != "taken" }
	want := []gateway.PhoneID{"90", "50-a", "50-b", "50-long-ago", "50-used", "floor", "unknown", "low", "empty"}
	if got := r.Nearest(ward3, free); !slices.Equal(got, want) {
		t.Errorf("Nearest = %q\n   want %q", got, want)
	}
}

func TestPresentedPhoneComesFirst(t *testing.T) {
	var r Registry
	r = here(r, "full", battery(100))
	r = here(r, "docked", func(s *Status) { s.Slot = "3" })
	r = here(r, "shown", func(s *Status) { s.Presented = "desk" })
	r = here(r, "own", battery(30))
	foreign := paper("own")
	foreign.Pool = "ward-4"
	r = r.Add(foreign)
	for name, test := range map[string]struct {
		place     gateway.Place
		presented gateway.PhoneID
		first     gateway.PhoneID
	}{
		"nothing there":         {gateway.Place{Reader: "door", Pool: "ward-3"}, "", "full"},
		"slot":                  {gateway.Place{Reader: "door", Pool: "ward-3", Slot: "3"}, "docked", "docked"},
		"empty slot":            {gateway.Place{Reader: "door", Pool: "ward-3", Slot: "4"}, "", "full"},
		"presented":             {gateway.Place{Reader: "desk", Pool: "ward-3"}, "shown", "shown"},
		"slot before presented": {gateway.Place{Reader: "desk", Pool: "ward-3", Slot: "3"}, "docked", "docked"},
		"own, of another pool":  {gateway.Place{Reader: "door", Pool: "ward-3", Phone: "own"}, "own", "own"},
		"presented before own":  {gateway.Place{Reader: "desk", Pool: "ward-3", Phone: "own"}, "shown", "shown"},
		"own, never paired":     {gateway.Place{Reader: "door", Pool: "ward-3", Phone: "x"}, "", "full"},
		"no place at all":       {gateway.Place{Pool: "ward-3"}, "", "full"},
	} {
		if got := r.Presented(test.place); got != test.presented {
			t.Errorf("%s: Presented = %q, want %q", name, got, test.presented)
		}
		if got := r.Nearest(test.place, everyone); len(got) == 0 || got[0] != test.first {
			t.Errorf("%s: Nearest = %q, want %q first", name, got, test.first)
		}
	}

	low := here(r, "docked", func(s *Status) { s.Slot, s.Battery = "3", 5 })
	got := low.Nearest(gateway.Place{Pool: "ward-3", Slot: "3"}, everyone)
	if want := []gateway.PhoneID{"full", "shown", "docked"}; !slices.Equal(got, want) {
		t.Errorf("docked and nearly empty: %q; want %q", got, want)
	}
}

func TestPresentedIsTheWordOfALinkedPhone(t *testing.T) {
	slot := gateway.Place{Slot: "3", Pool: "ward-3"}
	r := here(Registry{}, "a", func(s *Status) { s.Slot = "3" })
	if got := r.With(Unlinked{Phone: "a"}).Presented(slot); got != "" {
		t.Errorf("unlinked: %q", got)
	}
	if got := r.With(Unlinked{Phone: "a"}).With(Linked{Phone: "a"}).Presented(slot); got != "" {
		t.Errorf("linked anew, silent: %q", got)
	}
	own := gateway.Place{Phone: "a"}
	if got := r.With(Unlinked{Phone: "a"}).Presented(own); got != "a" {
		t.Errorf("a phone's own reader, unlinked: %q", got)
	}
}

// A phone that was taken from the slot may not have told yet when the next one is put in.
func TestTheNewestInTheSlotIsMeant(t *testing.T) {
	slot := gateway.Place{Slot: "3"}
	in := func(id gateway.PhoneID, second int) Status {
		return Status{At: at(second), Phone: id, Battery: 50, Healthy: true, Slot: "3"}
	}
	r := NewRegistry([]gateway.Phone{paper("a"), paper("b")}).With(Linked{Phone: "a"}).With(Linked{Phone: "b"})
	r = r.With(in("b", 1)).With(in("a", 5)).With(in("b", 9)) // b says the same again
	if got := r.Presented(slot); got != "a" {
		t.Errorf("Presented = %q, want the one that came last", got)
	}
	r = r.With(Status{At: at(10), Phone: "b"}).With(in("b", 11))
	if got := r.Presented(slot); got != "b" {
		t.Errorf("Presented = %q, want the one that was taken out and came back", got)
	}
}

// dumb picks the best that is left, again and again, by the rule as it is written down.
func dumb(r Registry, ids []gateway.PhoneID, place gateway.Place, free func(gateway.PhoneID) bool) []gateway.PhoneID {
	presented := r.Presented(place)
	charge := func(h Here) int {
		if h.Status.Battery < 0 {
			return LowBattery - 1
		}
		return h.Status.Battery
	}
	low := func(h Here) bool { return h.Status.Battery >= 0 && h.Status.Battery < LowBattery }
	better := func(a, b Here) bool {
		if low(a) != low(b) {
			return low(b)
		}
		if (a.Phone.ID == presented) != (b.Phone.ID == presented) {
			return a.Phone.ID == presented
		}
		if charge(a) != charge(b) {
			return charge(a) > charge(b)
		}
		if !a.LastUsed.Equal(b.LastUsed) {
			return a.LastUsed.Before(b.LastUsed)
		}
		return a.Phone.ID < b.Phone.ID
	}
	picked := []gateway.PhoneID{}
	for {
		var best Here
		for _, id := range ids {
			h, known := r.Phone(id)
			if !known || !h.Linked || !h.Status.Healthy || h.Status.PickedUp && id != presented || !free(id) || slices.Contains(picked, id) {
				continue
			}
			if h.Phone.Pool != place.Pool && id != presented {
				continue
			}
			if best.Phone.ID == "" || better(h, best) {
				best = h
			}
		}
		if best.Phone.ID == "" {
			return picked
		}
		picked = append(picked, best.Phone.ID)
	}
}

func TestNearestAgreesWithItsTwin(t *testing.T) {
	ids := []gateway.PhoneID{"a", "b", "c", "d", "e", "f", "g"}
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SampledFrom(ids)
		slot := rapid.SampledFrom([]string{"", "1", "2"})
		reader := rapid.SampledFrom([]gateway.ReaderID{"", "door", "desk"})
		pool := rapid.SampledFrom([]string{"ward-3", "ward-4"})
		var r Registry
		for i := range rapid.IntRange(0, 60).Draw(t, "steps") {
			p := id.Draw(t, "phone")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1:
				q := paper(p)
				q.Pool = pool.Draw(t, "pool")
				r = r.Add(q)
			case 2, 3:
				r = r.With(Linked{At: at(i), Phone: p})
			case 4:
				r = r.With(Unlinked{At: at(i), Phone: p})
			case 5:
				r = r.Used(p, at(rapid.IntRange(0, 3).Draw(t, "used")))
			case 6:
				r = r.Remove(p)
			default:
				r = r.With(Status{
					At: at(i), Phone: p, Battery: rapid.SampledFrom([]int{-1, 0, 19, 20, 21, 90, 100}).Draw(t, "battery"),
					Healthy: rapid.IntRange(0, 4).Draw(t, "healthy") > 0, PickedUp: rapid.IntRange(0, 4).Draw(t, "picked") == 0,
					Slot: slot.Draw(t, "slot"), Presented: reader.Draw(t, "presented"),
				})
			}
		}
		place := gateway.Place{Reader: reader.Draw(t, "reader"), Pool: pool.Draw(t, "place's pool"), Slot: slot.Draw(t, "place's slot")}
		if rapid.Bool().Draw(t, "own") {
			place.Phone = id.Draw(t, "own phone")
		}
		taken := rapid.SliceOf(id).Draw(t, "taken")
		free := func(id gateway.PhoneID) bool { return !slices.Contains(taken, id) }
		if got, want := r.Nearest(place, free), dumb(r, ids, place, free); !slices.Equal(got, want) {
			t.Fatalf("Nearest(%+v) = %q, the twin says %q", place, got, want)
		}
	})
}

func bigWard() Registry {
	var r Registry
	for i := range 200 {
		r = here(r, gateway.PhoneID(fmt.Sprintf("phone-%03d", i)), battery(i%101))
	}
	return r
}

func BenchmarkNearest(b *testing.B) {
	r := bigWard()
	b.ReportAllocs()
	for b.Loop() {
		r.Nearest(ward3, everyone)
	}
}

func BenchmarkStatus(b *testing.B) {
	r := bigWard()
	b.ReportAllocs()
	for b.Loop() {
		r = r.With(Status{At: at(2), Phone: "phone-100", Battery: 42, Healthy: true})
	}
}

func BenchmarkSighting(b *testing.B) {
	r := bigWard()
	for i := range 500 {
		r = r.With(sighting(fmt.Sprint("new-", i), keyOf(fmt.Sprint(i))))
	}
	s := sighting("new-1", keyOf("1"))
	b.ReportAllocs()
	for b.Loop() {
		r = r.With(s)
	}
}

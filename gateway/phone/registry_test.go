package phone

import (
	"testing"
	"time"

	"tapward/gateway"
)

var start = time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func paper(id gateway.PhoneID) gateway.Phone {
	return gateway.Phone{ID: id, Key: gateway.FingerprintOf([]byte(id)), Class: gateway.Workflow, Pool: "ward-3"}
}

func TestRegistryFollowsReports(t *testing.T) {
	r := NewRegistry([]gateway.Phone{paper("b"), paper("a")})
	want := Here{Phone: paper("a"), Status: Status{Phone: "a", Battery: -1}}
	check := func(step string) {
		t.Helper()
		if got, known := r.Phone("a"); !known || !equal(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", step, got, known, want)
		}
	}
	check("paired")

	r = r.With(Linked{At: at(1), Phone: "a"})
	want.Linked, want.LinkedSince = true, at(1)
	check("linked")

	said := Status{At: at(2), Phone: "a", Battery: 80, Charging: true, Healthy: true, Slot: "1"}
	r = r.With(said)
	want.Status = said
	check("has spoken")

	r = r.Used("a", at(3))
	want.LastUsed = at(3)
	check("used")

	r = r.With(Unlinked{At: at(4), Phone: "a"})
	want.Linked, want.LinkedSince = false, time.Time{}
	check("link lost, its last word kept")

	r = r.With(Linked{At: at(5), Phone: "a"})
	want.Linked, want.LinkedSince, want.Status = true, at(5), Status{Phone: "a", Battery: -1}
	check("a new link, nothing said on it")

	for _, battery := range []int{-7, 101} {
		r = r.With(Status{At: at(6), Phone: "a", Battery: battery})
		want.Status = Status{At: at(6), Phone: "a", Battery: -1}
		check("a charge that cannot be")
	}

	r = r.With(Answer{At: at(7)}).With(Stranger{At: at(7), Phone: "a"}).With(Linked{Phone: "x"}).With(Status{Phone: "x"}).
		With(Unlinked{Phone: "x"}).Used("x", at(7)).Remove("x")
	check("what does not concern it")
	if _, known := r.Phone("x"); known {
		t.Error("a phone that was never paired is known")
	}
}

func TestAddReplacesAndKeepsTheLinkOfTheSameKey(t *testing.T) {
	r := NewRegistry([]gateway.Phone{paper("a")}).With(Linked{At: at(1), Phone: "a"}).Used("a", at(2))
	moved := paper("a")
	moved.Pool = "ward-4"
	if got, _ := r.Add(moved).Phone("a"); !got.Linked || got.Phone.Pool != "ward-4" || got.LastUsed != at(2) {
		t.Errorf("same key: %+v", got)
	}
	moved.Key = gateway.FingerprintOf([]byte("new"))
	if got, _ := r.Add(moved).Phone("a"); got.Linked || !got.LastUsed.IsZero() || got.Status.Battery != -1 {
		t.Errorf("new key: %+v", got)
	}
	if _, known := r.Remove("a").Phone("a"); known {
		t.Error("removed and still known")
	}
}

func TestRegistryIsAValue(t *testing.T) {
	before := NewRegistry([]gateway.Phone{paper("a"), paper("b"), paper("c")}).With(Sighting{At: at(0), Name: "z"})
	after := before.With(Linked{At: at(1), Phone: "b"}).With(Status{Phone: "b", Battery: 7}).Used("b", at(1)).
		Remove("a").Add(paper("d")).With(Sighting{At: at(1), Name: "y"})
	for _, id := range []gateway.PhoneID{"a", "b", "c"} {
		if got, known := before.Phone(id); !known || got.Linked || !got.LastUsed.IsZero() || got.Status.Battery != -1 {
			t.Errorf("%s was changed under a reader: %+v, %v", id, got, known)
		}
	}
	if _, known := before.Phone("d"); known || len(before.Candidates()) != 1 {
		t.Error("the old value has what was added to the new")
	}
	if got, _ := after.Phone("b"); !got.Linked || got.Status.Battery != 7 || len(after.Candidates()) != 2 {
		t.Errorf("the new value lacks it: %+v", got)
	}
	if _, known := (Registry{}).Phone("a"); known {
		t.Error("the zero registry knows a phone")
	}
}

func equal(a, b Here) bool {
	return a.Phone.ID == b.Phone.ID && a.Phone.Key == b.Phone.Key && a.Linked == b.Linked &&
		a.LinkedSince.Equal(b.LinkedSince) && a.Status == b.Status && a.LastUsed.Equal(b.LastUsed)
}

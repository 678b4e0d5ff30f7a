package station

import (
	"fmt"
	"time"

	"tapward/gateway"
)

// busyWard is twelve phones in every state they can be in.
func busyWard(now time.Time) *gateway.Ward {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	phone := func(n int, phase string) gateway.WardPhone {
		return gateway.WardPhone{
			ID: gateway.PhoneID(fmt.Sprintf("phone-%02d", n)), Class: gateway.Workflow, Pool: "ward", Phase: phase,
			Linked: true, Healthy: true, Battery: 100 - 7*n, Fence: gateway.Fence(n),
		}
	}
	held := func(n int, who string, since time.Duration) gateway.WardPhone {
		p := phone(n, "bound")
		p.Holder, p.Since, p.LeaseEnd = who, ago(since), now.Add(23*time.Minute)
		return p
	}
	p := []gateway.WardPhone{
		held(1, "Ana Demo", 72*time.Minute), phone(2, "free"), held(3, "Ben Sample", 4*time.Minute),
		phone(4, "binding"), held(5, "Dr. Georgina Longname-Hyphenated", 5*time.Hour), phone(6, "releasing"),
		phone(7, "free"), phone(8, "quarantined"), held(9, "Fay Example", 31*time.Minute), phone(10, "free"),
		phone(11, "free"), phone(12, "foreign"),
	}
	p[1].Slot, p[1].Charging = "dock-1", true
	p[3].Holder, p[3].Reason = "Cleo Specimen", gateway.CheckOut
	p[4].Locked, p[4].Reason = true, gateway.IdleLock
	p[5].Holder, p[5].Next, p[5].Reason, p[5].Since = "Dora Test", "Emil Placeholder", gateway.HandOff, ago(48*time.Minute)
	p[6].Slot, p[6].Charging = "dock-2", true
	p[7].Reason, p[7].Holder = gateway.PhoneNotCleared, ""
	p[8].Battery, p[8].Linked = 14, false
	p[9].Battery = 11
	p[10].Linked, p[10].Battery = false, -1
	p[11].Reason = gateway.ForeignSession
	return &gateway.Ward{
		Box: "box-5b", Name: "Ward 5B", Made: now, Phones: p,
		Seen: []gateway.Candidate{{Name: "phone-new", Key: gateway.FingerprintOf([]byte("example")), Address: "10.20.30.41:7443"}},
		Readers: []gateway.WardReader{
			{ID: "desk", State: gateway.ReaderUp, Since: ago(9 * time.Hour)},
			{ID: "dock-1", State: gateway.ReaderUp, Since: ago(9 * time.Hour)},
			{ID: "dock-2", State: gateway.ReaderDegraded, Since: ago(6 * time.Minute), Note: "Answers after 900 ms; check its cable."},
			{ID: "door", State: gateway.ReaderUp, Since: ago(9 * time.Hour)},
		},
		Taps: []gateway.WardTap{
			{At: ago(20 * time.Second), Reader: "door", Who: "Cleo Specimen", Signal: gateway.Seen, Reason: gateway.PhoneComing, Phone: "phone-04"},
			{At: ago(70 * time.Second), Reader: "dock-2", Who: "Emil Placeholder", Signal: gateway.Granted, Reason: gateway.HandOff, Phone: "phone-06"},
			{At: ago(4 * time.Minute), Reader: "door", Who: "Ben Sample", Signal: gateway.Granted, Reason: gateway.CheckOut, Phone: "phone-03"},
			{At: ago(11 * time.Minute), Reader: "desk", Signal: gateway.Refused, Reason: gateway.UnknownBadge},
			{At: ago(14 * time.Minute), Reader: "desk", Who: "Fay Example", Signal: gateway.Note, Reason: gateway.HoldsPhone, Phone: "phone-09"},
			{At: ago(33 * time.Minute), Reader: "dock-1", Who: "Hal Invented", Signal: gateway.Granted, Reason: gateway.ReturnedDock, Phone: "phone-02"},
			{At: ago(52 * time.Minute), Reader: "door", Who: "Ida Madeup", Signal: gateway.Refused, Reason: gateway.WrongWard},
		},
		Policy: gateway.WardPolicy{Loaded: true, Version: 3, Since: ago(9 * time.Hour)},
		Log:    gateway.WardLog{Size: 18342, Root: gateway.Digest(gateway.FingerprintOf([]byte("root")))},
		Clock:  "synchronised", Uplink: gateway.Uplink{State: gateway.NoUplink}, Up: 9*time.Hour + 12*time.Minute,
	}
}

// emptyWard is a box on its first day.
func emptyWard(now time.Time) *gateway.Ward {
	return &gateway.Ward{
		Box: "box-5b", Name: "Ward 5B", Made: now, Clock: "unknown", Uplink: gateway.Uplink{State: gateway.NoUplink}, Up: 40 * time.Second,
		Seen: busyWard(now).Seen,
	}
}

// troubledWard is a day on which everything fails.
func troubledWard(now time.Time) *gateway.Ward {
	w := busyWard(now)
	for i := range w.Phones {
		p := &w.Phones[i]
		p.Linked, p.Charging, p.Slot, p.Next = false, false, "", ""
		if i%3 == 0 {
			p.Phase, p.Reason = "quarantined", gateway.PhoneNotCleared
		}
	}
	w.Phones[1].Healthy, w.Phones[1].Linked = false, true
	for i := range w.Readers {
		w.Readers[i].State, w.Readers[i].Since = gateway.ReaderDown, now.Add(-3*time.Minute)
		w.Readers[i].Note = "Unplugged. Plug it in again; it comes back by itself."
	}
	w.Taps[0] = gateway.WardTap{At: now, Reader: "door", Who: "Cleo Specimen", Signal: gateway.Refused, Reason: gateway.NoPhoneFree}
	w.Clock, w.Storage = "not-synchronised", gateway.StorageNear
	w.Uplink = gateway.Uplink{
		State: gateway.UplinkCutOff, Since: now.Add(-3 * time.Minute), Why: "the broker cannot be reached: dial tcp 10.20.1.4:4222: connect: no route to host",
		Waiting: 128, Oldest: now.Add(-4 * time.Minute),
	}
	return w
}

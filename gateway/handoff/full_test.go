package handoff_test

import (
	"slices"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
	"tapward/reader"
)

// The disk fills while a phone changes hands: the first session is closed, the second does not open, whoever waited is
// told, and the log has it all once there is room.
func TestDiskFillsDuringAHandOff(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.dock("phone-1", "slot-1")
		w.tap("ana", "dock")
		w.phones.change("phone-1", func(h *handset) { h.deaf = true })
		w.tap("ben", "dock")
		w.shows("phone-1", "Ana Test", "releasing")
		w.journal.breaks(fault{refuse: gateway.ErrStorageFull})
		w.phones.change("phone-1", func(h *handset) { h.deaf = false })
		w.phones.unlink("phone-1")
		w.phones.link("phone-1")
		w.pass(time.Second)
		w.shows("phone-1", "", "free")
		w.shows("phone-2", "", "free")
		w.told("dock", gateway.Refused, gateway.StorageExhausted)
		w.journal.breaks(fault{})
		w.pass(10 * time.Second)
		kinds := w.kinds()
		for _, k := range []gateway.RecordKind{gateway.CustodyFailed, gateway.SessionCleared, gateway.StorageChanged} {
			if !slices.Contains(kinds, k) {
				t.Errorf("%s was not written down later: %v", k, kinds)
			}
		}
		w.tap("ben", "dock")
		w.shows("phone-1", "Ben Test", "bound")
	})
}

// A bind goes unanswered on a full disk: it is taken back and nobody is offered another phone. The engine waits for time
// to pass; it does not spin, or this bubble would never end.
func TestUnansweredBindOnAFullDisk(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.change("phone-1", func(h *handset) { h.deaf = true })
		w.tap("ana", "door")
		w.journal.breaks(fault{refuse: gateway.ErrStorageFull})
		w.pass(6 * time.Second)
		w.told("door", gateway.Refused, gateway.StorageExhausted)
		w.shows("phone-2", "", "free")
		w.phones.change("phone-1", func(h *handset) { h.deaf = false })
		w.pass(time.Minute)
		w.shows("phone-1", "", "free")
	})
}

// What is held stays held through hours of a full disk: links come and go, leases are renewed, and a lock that the phone
// made is not undone.
func TestSessionsGoOnOnAFullDisk(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.journal.breaks(fault{refuse: gateway.ErrStorageFull})
		w.pass(2 * time.Hour)
		w.phones.unlink("phone-1")
		w.phones.link("phone-1")
		w.pass(time.Hour)
		w.shows("phone-1", "Ana Test", "bound")
		if p := w.phone("phone-1"); !p.Linked {
			t.Error("the new link was not noticed")
		}
		w.phones.change("phone-1", func(h *handset) { h.locked = true })
		w.phones.unlink("phone-1")
		w.phones.link("phone-1")
		w.tap("ana", "door")
		w.told("door", gateway.Refused, gateway.StorageExhausted)
		w.shows("phone-1", "locked: Ana Test", "bound")
	})
}

// An act on a full disk happens wholly or not at all; only a release does not wait for the disk.
func TestActsOnAFullDisk(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.journal.breaks(fault{refuse: gateway.ErrStorageFull})
		for _, act := range []gateway.Act{
			gateway.AddPhone{Phone: gateway.Phone{ID: "phone-3", Key: gateway.FingerprintOf([]byte("3")), Class: gateway.Workflow, Pool: "shared"}},
			gateway.RemovePhone{Phone: "phone-2"},
			gateway.LoadPolicy{Document: policyText(2, "ana")},
			gateway.TakeOver{Reader: "door", Phone: "phone-1"},
		} {
			if err := w.engine.Do(w.t.Context(), "tester", act); err == nil {
				t.Errorf("%T was done on a full disk", act)
			}
		}
		w.pass(time.Second)
		w.shows("phone-1", "Ana Test", "bound")
		picture, _ := w.engine.Ward()
		if picture.Armed != nil || len(picture.Phones) != 2 || picture.Policy.Version != 1 {
			t.Errorf("a refused act left a trace: armed %v, %d phones, policy %d", picture.Armed, len(picture.Phones), picture.Policy.Version)
		}
		w.must(gateway.ReleasePhone{Phone: "phone-1"})
		w.pass(time.Second)
		w.shows("phone-1", "", "free")

		w.journal.breaks(fault{})
		w.pass(10 * time.Second)
		w.stop()
		w.start()
		for _, id := range []gateway.PhoneID{"phone-1", "phone-2"} {
			w.phones.link(id)
		}
		w.pass(time.Second)
		w.tap("ana", "door")
		w.shows("phone-2", "Ana Test", "bound") // phone-1 is still in somebody's hand
		for _, k := range []gateway.RecordKind{gateway.PhoneRemoved, gateway.OperatorActed} {
			if slices.Contains(w.kinds(), k) {
				t.Errorf("%s stands in the log, but was refused", k)
			}
		}
	})
}

// What happens around a ward whose disk is full is written down when there is room again.
func TestNothingIsForgottenOnAFullDisk(t *testing.T) {
	inWard(t, func(w *ward) {
		w.journal.breaks(fault{refuse: gateway.ErrStorageFull})
		w.engine.Reader(w.t.Context(), reader.Status{Reader: "door", State: gateway.ReaderDown, Reason: gateway.ReaderUnplugged})
		w.engine.Report(w.t.Context(), phone.Stranger{At: time.Now(), Key: gateway.FingerprintOf([]byte("x")), Address: "192.0.2.1:1", Why: "its key is not paired"})
		w.tap("ben", "dock")
		w.tap("nobody", "dock")
		w.journal.breaks(fault{})
		w.pass(10 * time.Second)
		reasons := map[gateway.RecordKind][]gateway.Reason{}
		for _, r := range w.records() {
			reasons[r.Kind] = append(reasons[r.Kind], r.Reasons...)
		}
		if got := reasons[gateway.ReaderChanged]; !slices.Contains(got, gateway.ReaderUnplugged) {
			t.Errorf("the unplugged reader is not in the log: %v", got)
		}
		if _, ok := reasons[gateway.PhoneRefused]; !ok {
			t.Error("the stranger is not in the log")
		}
		want := []gateway.Reason{gateway.StorageExhausted, gateway.UnknownBadge}
		if got := reasons[gateway.TapRefused]; !slices.Equal(got, want) {
			t.Errorf("refused taps in the log are %v, want %v", got, want)
		}
	})
}

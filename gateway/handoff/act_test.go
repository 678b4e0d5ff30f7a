package handoff_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
)

// Every act of an operator is in the log, also the one that was refused: who asked for what, and why not.
func TestRefusedActsAreLeaves(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		synctest.Wait()
		for name, c := range map[string]struct {
			act    gateway.Act
			reason gateway.Reason
		}{
			"add-phone":     {gateway.AddPhone{Phone: gateway.Phone{ID: gateway.PhoneID(strings.Repeat("é", 1<<14))}}, gateway.Incomplete},
			"remove-phone":  {gateway.RemovePhone{Phone: "phone-1"}, gateway.PhoneBusy},
			"release-phone": {gateway.ReleasePhone{Phone: "phone-9"}, gateway.UnknownPhone},
			"take-over":     {gateway.TakeOver{Reader: "door", Phone: "phone-2"}, gateway.UnknownPhone},
			"load-policy":   {gateway.LoadPolicy{Document: policyText(1)}, gateway.OldPolicy},
		} {
			before := len(w.records())
			if err := w.engine.Do(w.t.Context(), "tester", c.act); err == nil {
				t.Errorf("%s was done", name)
			}
			synctest.Wait()
			all := w.records()
			r := all[len(all)-1]
			if len(all) != before+1 || r.Kind != gateway.OperatorRefused || r.State != name || r.Operator != "tester" || r.Words == "" || !slices.Equal(r.Reasons, []gateway.Reason{c.reason}) {
				t.Errorf("%s: %d records more, the last is %+v", name, len(all)-before, r)
			}
		}
		if err := w.engine.Do(w.t.Context(), "tester", gateway.LoadPolicy{Document: []byte("version =")}); err == nil {
			t.Error("a document that is none was loaded")
		}
		synctest.Wait()
		w.logged(gateway.OperatorRefused)
		if r := w.records(); r[len(r)-1].Reasons[0] != gateway.BadPolicy {
			t.Errorf("the leaf says %v", r[len(r)-1].Reasons)
		}
	})
}

func TestRefusedActOnAFullDiskIsALeafLater(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		w.journal.breaks(fault{refuse: gateway.ErrStorageFull})
		for _, act := range []gateway.Act{gateway.RemovePhone{Phone: "phone-2"}, gateway.ReleasePhone{Phone: "phone-9"}} {
			if err := w.engine.Do(w.t.Context(), "tester", act); err == nil {
				t.Errorf("%T was done", act)
			}
		}
		w.journal.breaks(fault{})
		w.pass(10 * time.Second)
		var refused []gateway.Reason
		ended := 0
		for _, r := range w.records() {
			switch {
			case r.Kind == gateway.OperatorRefused:
				refused = append(refused, r.Reasons...)
			case r.State == "take-over-cancelled":
				ended++
			}
		}
		if want := []gateway.Reason{gateway.StorageExhausted, gateway.UnknownPhone}; !slices.Equal(refused, want) || ended != 1 {
			t.Errorf("refused are %v, want %v; %d take-overs ended, want 1", refused, want, ended)
		}
	})
}

// A take-over ends in the log, however it ends.
func TestTakeOversEndInTheLog(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		arm := func(at gateway.ReaderID) { w.must(gateway.TakeOver{Reader: at, Phone: "phone-1"}) }
		told := func(what string, reader gateway.ReaderID, last ...gateway.RecordKind) {
			t.Helper()
			w.logged(last...)
			i := len(w.records()) - len(last)
			r := w.records()[i]
			if r.State != what || r.Reader != reader || r.Operator != "tester" {
				t.Errorf("the leaf is %+v, want %s at %s", r, what, reader)
			}
		}
		arm("door")
		told("take-over-armed", "door", gateway.OperatorActed)
		w.pass(16 * time.Second)
		told("take-over-lapsed", "door", gateway.OperatorActed)
		arm("door")
		w.tap("nobody", "door")
		told("take-over-cancelled", "door", gateway.OperatorActed, gateway.TapRefused)
		arm("door")
		w.tap("nobody", "dock")
		told("take-over-cancelled", "door", gateway.OperatorActed, gateway.TapRefused)
		arm("door")
		arm("dock")
		told("take-over-replaced", "door", gateway.OperatorActed, gateway.OperatorActed)
		w.must(gateway.TakeOver{})
		told("take-over-cancelled", "dock", gateway.OperatorActed)
		w.must(gateway.TakeOver{})
		told("take-over-cancelled", "", gateway.OperatorActed)
		arm("door")
		w.tap("ben", "door")
		w.logged(gateway.OperatorActed, gateway.HandOffRequested, gateway.SessionCleared, gateway.SessionOpened)
	})
}

// Another key under a known name is another phone: nothing that was known about the former one is true of it.
func TestAnotherKeyIsAnotherPhone(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.phones.dock("phone-1", "slot-1") // returned: its fence is 2
		w.pass(time.Second)
		if p := w.phone("phone-1"); p.Phase != "free" || p.Fence != 2 {
			t.Fatalf("phone-1 is %s at fence %d", p.Phase, p.Fence)
		}
		w.must(gateway.AddPhone{Phone: gateway.Phone{ID: "phone-1", Key: gateway.FingerprintOf([]byte("another")), Class: gateway.Workflow, Pool: "shared"}})
		w.logged(gateway.PhoneRemoved, gateway.PhoneAdded)
		if p := w.phone("phone-1"); p.Fence != 0 || p.Linked {
			t.Errorf("phone-1 has fence %d, linked %v", p.Fence, p.Linked)
		}
		w.phones.add("phone-1")
		w.phones.link("phone-1")
		w.pass(time.Second)
		w.shows("phone-1", "", "free")
		if slices.Contains(w.kinds(), gateway.PhoneInconsistent) {
			t.Error("its own first fence was taken for one that went back")
		}
		w.stop()
		w.start()
		if p := w.phone("phone-1"); p.Fence != 0 {
			t.Errorf("after a restart it has fence %d", p.Fence)
		}
	})
}

// Removing a phone and pairing it again is no way out of quarantine: it must show that it is clear.
func TestPairingAnewLiftsNoQuarantine(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.phones.change("phone-1", func(h *handset) { h.cannotClear = true })
		w.phones.dock("phone-1", "slot-1")
		w.pass(time.Second)
		w.must(gateway.RemovePhone{Phone: "phone-1"})
		w.must(gateway.AddPhone{Phone: gateway.Phone{ID: "phone-1", Key: gateway.FingerprintOf([]byte("phone-1")), Class: gateway.Workflow, Pool: "shared"}})
		if p := w.phone("phone-1"); p.Phase != "quarantined" || p.Reason != gateway.NewlyPaired {
			t.Errorf("paired anew, phone-1 is %s (%s)", p.Phase, p.Reason)
		}
		w.phones.link("phone-1")
		w.pass(time.Second)
		if p := w.phone("phone-1"); p.Phase != "quarantined" || p.Reason != gateway.PhoneNotCleared {
			t.Errorf("not clear, phone-1 is %s (%s)", p.Phase, p.Reason)
		}
		w.tap("ana", "door")
		w.shows("phone-2", "Ana Test", "bound")
	})
}

package handoff_test

import (
	"slices"
	"testing"
	"time"

	"tapward/gateway"
)

// Returning may ask for less than checking out. At the own phone's slot a tap that would unlock it is a check-out all the
// same.
func TestReturningDoesNotUnlock(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.dock("phone-1", "slot-1")
		w.tap("ana", "dock")
		w.must(gateway.LoadPolicy{Document: append(policyText(2), "[action.check-out]\nholder = \"pin\"\n"...)})
		w.phones.change("phone-1", func(h *handset) { h.locked = true })
		w.phones.unlink("phone-1")
		w.phones.link("phone-1")
		w.tap("ana", "dock")
		w.told("dock", gateway.Refused, gateway.NotEnoughProof)
		w.shows("phone-1", "locked: Ana Test", "bound")
	})
}

// A nearly full disk keeps nobody out of the phone they hold.
func TestResumeOnANearlyFullDisk(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.phones.change("phone-1", func(h *handset) { h.locked = true })
		w.phones.unlink("phone-1")
		w.phones.link("phone-1")
		w.journal.breaks(fault{space: gateway.StorageNear})
		w.tap("ana", "door")
		w.told("door", gateway.Granted, gateway.Resumed)
		w.shows("phone-1", "Ana Test", "bound")
	})
}

// The unlock happened and its receipt was lost with the link: whoever tapped is told, and the log has the unlock as soon
// as the phone's hello tells of it.
func TestUnlockInSecretIsWrittenDown(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.phones.change("phone-1", func(h *handset) { h.locked = true })
		w.phones.unlink("phone-1")
		w.phones.link("phone-1")
		w.phones.change("phone-1", func(h *handset) { h.mute = true })
		w.tap("ana", "door")
		w.phones.unlink("phone-1")
		w.pass(time.Second)
		w.told("door", gateway.Refused, gateway.PhoneGone)
		w.phones.change("phone-1", func(h *handset) { h.mute = false })
		w.phones.link("phone-1")
		w.pass(time.Second)
		w.shows("phone-1", "Ana Test", "bound")
		if kinds := w.kinds(); !slices.Contains(kinds, gateway.SessionResumed) {
			t.Errorf("the log does not have the unlock: %v", kinds)
		}
	})
}

// The phone of an armed take-over comes back before the tap: that tap is an ordinary check-out, and the policy is asked
// about that.
func TestTakeOverOfAPhoneThatWasReturned(t *testing.T) {
	inWard(t, func(w *ward) {
		w.must(gateway.LoadPolicy{Document: append(policyText(2), "[action.take-over]\nholder = \"pin\"\n"...)})
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		w.phones.dock("phone-1", "slot-2")
		w.pass(time.Second)
		w.tap("ben", "door")
		w.told("door", gateway.Granted, gateway.CheckOut)
	})
}

// A restart between the release and the bind of a hand-off ends its custody in the log.
func TestRestartEndsTheCustodyOfAHandOff(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.dock("phone-1", "slot-1")
		w.tap("ana", "dock")
		w.phones.change("phone-1", func(h *handset) { h.deaf = true })
		w.tap("ben", "dock")
		w.stop()
		w.start()
		var asked, failed gateway.Custody
		for _, r := range w.records() {
			switch r.Kind {
			case gateway.HandOffRequested:
				asked = r.Custody
			case gateway.CustodyFailed:
				failed = r.Custody
			}
		}
		if asked == 0 || failed != asked {
			t.Errorf("the hand-off is custody %d, the one that ended is %d", asked, failed)
		}
		w.phones.change("phone-1", func(h *handset) { h.deaf = false })
		w.phones.link("phone-1")
		w.pass(time.Second)
		w.shows("phone-1", "", "free")
	})
}

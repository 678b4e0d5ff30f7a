package handoff_test

import (
	"testing"
	"time"

	"tapward/gateway"
)

// A phone that is used in its dock, on the speaker say, is in use and was not returned, whatever its link does.
func TestUsedInItsDockIsNoReturn(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.dock("phone-1", "slot-1")
		w.tap("ana", "dock")
		w.phones.use("phone-1")
		w.phones.unlink("phone-1")
		w.phones.link("phone-1")
		w.pass(2 * time.Minute)
		w.shows("phone-1", "Ana Test", "bound")
	})
}

// A phone came back to its dock while its link was down: the next status says so.
func TestDockedWithoutALink(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.dock("phone-1", "slot-1")
		w.tap("ana", "dock")
		w.phones.pick("phone-1")
		w.phones.unlink("phone-1")
		w.phones.change("phone-1", func(h *handset) { h.slot = "slot-1" })
		w.phones.link("phone-1")
		w.pass(time.Second)
		w.shows("phone-1", "", "free")
	})
}

// Who takes a phone over in hand and docks it at once has returned it, also where the box never heard that it was in hand.
func TestDockedRightAfterAHandOffInHand(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		w.tap("ben", "door")
		w.shows("phone-1", "Ben Test", "bound")
		w.phones.dock("phone-1", "slot-1")
		w.pass(time.Second)
		w.shows("phone-1", "", "free")
	})
}

// A free phone that cannot be given is not offered for standing in front of the reader.
func TestUnfitPhoneInTheSlot(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.change("phone-1", func(h *handset) { h.slot, h.battery = "slot-1", 3 })
		w.phones.status("phone-1")
		w.tap("ana", "dock")
		w.shows("phone-2", "Ana Test", "bound")
		w.told("dock", gateway.Granted, gateway.OtherPhone)
		w.phones.change("phone-1", func(h *handset) { h.left = true })
		w.phones.status("phone-1")
		w.tap("ben", "dock")
		w.told("dock", gateway.Refused, gateway.PhoneUnfit)
	})
}

// Somebody holds a free phone to the reader: it is that one they want, although it is in hand.
func TestFreePhoneInHand(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.change("phone-2", func(h *handset) { h.picked, h.presented = true, "door" })
		w.phones.status("phone-2")
		w.tap("ana", "door")
		w.shows("phone-2", "Ana Test", "bound")
	})
}

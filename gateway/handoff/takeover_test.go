package handoff_test

import (
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/policy"
)

// loose lets people take over whom it does not let check out.
func (w *ward) loose() {
	w.t.Helper()
	text := string(policyText(2)) + "[action.check-out]\nroles = [\"doctor\"]\n"
	if _, err := policy.Parse([]byte(text)); err != nil {
		w.t.Fatal(err)
	}
	w.must(gateway.LoadPolicy{Document: []byte(text)})
}

// TestTakeOverOfAPhoneThatIsGone: when nobody holds the phone any more, the tap is an ordinary one, by the rules of an
// ordinary one.
func TestTakeOverOfAPhoneThatIsGone(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.loose()
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		w.phones.change("phone-1", func(h *handset) { h.deaf = true })
		w.must(gateway.ReleasePhone{Phone: "phone-1"})
		w.pass(8 * time.Second)
		w.tap("ben", "door")
		w.shows("phone-2", "", "free")
		w.logged(gateway.OperatorActed, gateway.TapRefused)
	})
}

// TestNextPhoneOfATakeOverIsACheckOut: the phone that is offered where the one to be taken over cannot be had is a free one.
func TestNextPhoneOfATakeOverIsACheckOut(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.loose()
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		w.phones.change("phone-1", func(h *handset) { h.deaf = true })
		w.tap("ben", "door")
		w.pass(time.Minute)
		w.shows("phone-2", "", "free")
	})
}

// TestAnotherPhoneWasNobodys: whoever gets another phone than the one to be handed on is told so, and nobody is said to
// have held it.
func TestAnotherPhoneWasNobodys(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		w.phones.change("phone-1", func(h *handset) { h.deaf = true })
		w.tap("ben", "door")
		w.pass(time.Minute)
		w.shows("phone-2", "Ben Test", "bound")
		w.told("door", gateway.Granted, gateway.OtherPhone)
		for _, r := range w.records() {
			if r.Kind == gateway.SessionOpened && r.Phone == "phone-2" {
				if r.Previous != "" {
					t.Errorf("%s is said to have held phone-2", r.Previous)
				}
				if r.Durations.Commit > time.Second {
					t.Errorf("the commit took %s: that is the wait for phone-1", r.Durations.Commit)
				}
				return
			}
		}
		t.Error("no session was opened on phone-2")
	})
}

// TestHolderDoesNotTakeOver: the holder's own tap cancels what was armed, and says so.
func TestHolderDoesNotTakeOver(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.pass(time.Minute)
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		w.tap("ana", "door")
		w.logged(gateway.OperatorActed, gateway.TapNoted)
		if r := w.records(); r[len(r)-2].State != "take-over-cancelled" {
			t.Errorf("the take-over ended as %q", r[len(r)-2].State)
		}
	})
}

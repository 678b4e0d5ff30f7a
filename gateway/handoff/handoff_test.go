package handoff_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
)

func TestCheckOut(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.change("phone-2", func(h *handset) { h.battery = 95 })
		w.phones.status("phone-2")
		w.tap("ana", "door")
		w.shows("phone-2", "Ana Test", "bound") // the better charged one
		w.told("door", gateway.Granted, gateway.CheckOut)
		w.logged(gateway.CheckOutRequested, gateway.SessionOpened)
		opened := w.records()[len(w.records())-1]
		if opened.Receipt != "signed by phone-2" || opened.Clinician != "c-ana" || opened.Durations.Confirmed != 2*air {
			t.Errorf("the confirmation's record is %+v", opened)
		}
		w.phones.pick("phone-2")
		synctest.Wait()
		w.logged(gateway.SessionUsed)
	})
}

// The clinician is told granted only after the phone confirmed, and nothing is sent before it is committed.
func TestGrantedComesLast(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.change("phone-1", func(h *handset) { h.mute = true })
		w.tap("ana", "door")
		w.told("door", gateway.Seen, gateway.CheckOut)
		w.shows("phone-1", "Ana Test", "binding")
	})
}

// A bind that failed and one that happened without an answer look the same to the box: both are taken back with a
// higher fence, and the next phone is offered.
func TestUnansweredBind(t *testing.T) {
	for name, fault := range map[string]func(h *handset){
		"did not happen":     func(h *handset) { h.deaf = true },
		"happened in secret": func(h *handset) { h.mute = true },
	} {
		t.Run(name, func(t *testing.T) {
			inWard(t, func(w *ward) {
				w.phones.change("phone-1", fault)
				w.tap("ana", "door")
				w.pass(5 * time.Second)
				w.shows("phone-2", "Ana Test", "bound")
				w.told("door", gateway.Granted, gateway.CheckOut)
				w.phones.change("phone-1", func(h *handset) { h.deaf, h.mute = false, false })
				w.pass(time.Minute)
				w.shows("phone-1", "", "free")
			})
		})
	}
}

func TestNotPickedUp(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.pass(time.Minute + time.Second)
		w.shows("phone-1", "", "free")
		w.logged(gateway.ReleaseRequested, gateway.SessionCleared)
	})
}

func TestHolderIsNeverSignedOutByATap(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		for range 5 {
			w.tap("ana", "door")
			w.told("door", gateway.Note, gateway.HoldsPhone)
			w.pass(3 * time.Second)
		}
		w.shows("phone-1", "Ana Test", "bound")
		w.shows("phone-2", "", "free")
	})
}

func TestReturn(t *testing.T) {
	t.Run("by docking", func(t *testing.T) {
		inWard(t, func(w *ward) {
			w.tap("ana", "door")
			w.phones.pick("phone-1")
			w.phones.dock("phone-1", "slot-1")
			w.pass(time.Second)
			w.shows("phone-1", "", "free")
		})
	})
	t.Run("by a second tap while presented", func(t *testing.T) {
		inWard(t, func(w *ward) {
			w.phones.dock("phone-1", "slot-1")
			w.tap("ana", "dock")
			w.told("dock", gateway.Granted, gateway.CheckOut)
			w.tap("ana", "dock")
			w.told("dock", gateway.Note, gateway.TapToReturn)
			w.shows("phone-1", "Ana Test", "bound")
			w.pass(11 * time.Second) // the window passes
			w.tap("ana", "dock")
			w.told("dock", gateway.Note, gateway.TapToReturn)
			w.tap("ana", "dock")
			w.told("dock", gateway.Granted, gateway.ReturnedTap)
			w.shows("phone-1", "", "free")
		})
	})
}

func TestHandOff(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.dock("phone-1", "slot-1")
		w.tap("ana", "dock")
		w.tap("ben", "dock")
		w.shows("phone-1", "Ben Test", "bound")
		w.told("dock", gateway.Granted, gateway.HandOff)
		w.logged(gateway.HandOffRequested, gateway.SessionCleared, gateway.SessionOpened)
		r := w.records()
		asked, cleared, opened := r[len(r)-3], r[len(r)-2], r[len(r)-1]
		if asked.Custody != cleared.Custody || cleared.Custody != opened.Custody {
			t.Errorf("the hand-off has custodies %d, %d, %d", asked.Custody, cleared.Custody, opened.Custody)
		}
		if asked.Previous != "c-ana" || asked.Clinician != "c-ben" || cleared.Clinician != "c-ana" || opened.Clinician != "c-ben" || opened.Previous != "c-ana" {
			t.Errorf("the hand-off does not name both people: %v", r[len(r)-3:])
		}
	})
}

func TestHandOffOfAPhoneThatDoesNotClear(t *testing.T) {
	for name, c := range map[string]struct {
		fault  func(h *handset)
		reason gateway.Reason
	}{
		"says so":           {func(h *handset) { h.cannotClear = true }, gateway.PhoneNotCleared},
		"silent":            {func(h *handset) { h.deaf = true }, gateway.PhoneSilent},
		"cleared in secret": {func(h *handset) { h.mute = true }, gateway.PhoneSilent},
	} {
		t.Run(name, func(t *testing.T) {
			inWard(t, func(w *ward) {
				w.phones.dock("phone-1", "slot-1")
				w.tap("ana", "dock")
				w.phones.change("phone-1", c.fault)
				w.tap("ben", "dock")
				w.pass(11 * time.Second)
				if p := w.phone("phone-1"); p.Phase != "quarantined" || p.Reason != c.reason {
					t.Errorf("phone-1 is %s (%s), want it in quarantine (%s)", p.Phase, p.Reason, c.reason)
				}
				w.shows("phone-2", "Ben Test", "bound")
			})
		})
	}
}

func TestQuarantineEndsByAnOperator(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.change("phone-1", func(h *handset) { h.cannotClear = true })
		w.phones.pick("phone-1")
		w.phones.dock("phone-1", "slot-1")
		w.pass(5 * time.Minute)
		if p := w.phone("phone-1"); p.Phase != "quarantined" {
			t.Fatalf("phone-1 is %s", p.Phase)
		}
		w.phones.change("phone-1", func(h *handset) { h.cannotClear, h.left = false, false })
		w.must(gateway.ReleasePhone{Phone: "phone-1"})
		w.pass(time.Second)
		w.shows("phone-1", "", "free")
	})
}

func TestTakeOverAtTheStation(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		armed := func() *gateway.WardArmed {
			picture, _ := w.engine.Ward()
			return picture.Armed
		}
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		if a := armed(); a == nil || a.Phone != "phone-1" {
			t.Errorf("the station shows %v as armed", a)
		}
		w.must(gateway.TakeOver{})
		if a := armed(); a != nil {
			t.Errorf("a cancelled take-over is still shown: %v", a)
		}
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		w.pass(16 * time.Second)
		if a := armed(); a != nil {
			t.Errorf("a take-over is still shown after its time: %v", a)
		}
		w.tap("ben", "door") // too late: an ordinary check-out
		w.shows("phone-2", "Ben Test", "bound")
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		w.tap("cai", "door")
		w.shows("phone-1", "Cai Test", "bound")
		w.told("door", gateway.Granted, gateway.TakenOver)
	})
}

// Each refusal has its own reason, feedback and leaf, and changes no phone.
func TestRefusals(t *testing.T) {
	inWard(t, func(w *ward) {
		refused := func(name string, at gateway.ReaderID, reason gateway.Reason) {
			t.Helper()
			w.tap(name, at)
			w.told(at, gateway.Refused, reason)
			w.logged(gateway.TapRefused)
			if r := w.records(); r[len(r)-1].Reasons[0] != reason {
				t.Errorf("the leaf says %v, want %s", r[len(r)-1].Reasons, reason)
			}
		}
		refused("nobody", "door", gateway.UnknownBadge)
		refused("eli", "door", gateway.ExpiredBadge)
		refused("ana", "elsewhere", gateway.UnknownReader)
		w.must(gateway.LoadPolicy{Document: policyText(2, "dee")})
		refused("dee", "door", gateway.RevokedBadge)
		w.journal.breaks(fault{space: gateway.StorageNear})
		refused("ana", "door", gateway.StorageLow)
		w.journal.breaks(fault{})
		w.tap("ana", "door")
		w.tap("ben", "door")
		refused("cai", "door", gateway.NoPhoneFree)
		w.engine.Tap(w.t.Context(), gateway.Tap{Reader: "door", Credential: badge("cai"), Assurance: gateway.Assurance{Card: gateway.CardNumber}, At: time.Now().Add(-3 * time.Second)})
		w.pass(time.Second)
		w.told("door", gateway.Refused, gateway.StaleTap)
	})
}

func TestRevokedPeopleLoseTheirPhone(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.must(gateway.LoadPolicy{Document: policyText(2, "ana")})
		w.pass(time.Second)
		w.shows("phone-1", "", "free")
	})
}

func TestPhoneLostMidBind(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.change("phone-1", func(h *handset) { h.mute = true })
		w.tap("ana", "door")
		w.phones.unlink("phone-1")
		w.pass(time.Second)
		w.shows("phone-2", "Ana Test", "bound")
		w.phones.change("phone-1", func(h *handset) { h.mute = false })
		w.phones.link("phone-1") // it shows Ana: released before it is free
		w.pass(time.Second)
		w.shows("phone-1", "", "free")
	})
}

func TestLease(t *testing.T) {
	t.Run("is renewed while the link stands", func(t *testing.T) {
		inWard(t, func(w *ward) {
			w.tap("ana", "door")
			w.phones.pick("phone-1")
			w.pass(8 * time.Hour)
			w.shows("phone-1", "Ana Test", "bound")
		})
	})
	t.Run("ends without a link and keeps custody, and a tap resumes", func(t *testing.T) {
		inWard(t, func(w *ward) {
			w.tap("ana", "door")
			w.phones.pick("phone-1")
			w.phones.unlink("phone-1")
			w.phones.change("phone-1", func(h *handset) { h.locked = true }) // by its own clock
			w.pass(31 * time.Minute)
			if p := w.phone("phone-1"); !p.Locked || p.Phase != "bound" || p.Holder != "Ana Test" {
				t.Errorf("phone-1 is %+v", p)
			}
			w.phones.link("phone-1")
			w.tap("ana", "door")
			w.told("door", gateway.Granted, gateway.Resumed)
			w.shows("phone-1", "Ana Test", "bound")
		})
	})
	t.Run("ends at the limit, and the next tap starts a new session", func(t *testing.T) {
		inWard(t, func(w *ward) {
			w.tap("ana", "door")
			w.phones.pick("phone-1")
			w.pass(12*time.Hour + time.Second)
			w.shows("phone-1", "locked: Ana Test", "bound")
			w.tap("ana", "door")
			w.shows("phone-1", "Ana Test", "bound")
			w.logged(gateway.CheckOutRequested, gateway.SessionCleared, gateway.SessionOpened)
		})
	})
}

// A restart in every moment of a hand-off: what was under way is released, nobody's session is left open unseen, and the
// log goes on without a gap.
func TestRestart(t *testing.T) {
	for _, after := range []time.Duration{0, air, 2 * air, 3 * air, 4 * air, 5 * air} {
		t.Run(after.String(), func(t *testing.T) {
			inWard(t, func(w *ward) {
				w.phones.dock("phone-1", "slot-1")
				w.tap("ana", "dock")
				w.engine.Tap(w.t.Context(), gateway.Tap{Reader: "dock", Credential: badge("ben"), Assurance: gateway.Assurance{Card: gateway.CardNumber}, At: time.Now()})
				w.pass(after)
				w.stop()
				w.start()
				for _, id := range []gateway.PhoneID{"phone-1", "phone-2"} {
					w.phones.link(id)
				}
				w.pass(30 * time.Second)
				for _, id := range []gateway.PhoneID{"phone-1", "phone-2"} {
					if p := w.phone(id); p.Phase == "bound" && w.phones.name(id) != p.Holder || p.Phase == "free" && w.phones.name(id) != "" || p.Phase != "bound" && p.Phase != "free" {
						t.Errorf("%s is %s for %q and shows %q", id, p.Phase, p.Holder, w.phones.name(id))
					}
				}
			})
		})
	}
}

// On a full disk nothing is granted, and what takes access away is done all the same.
func TestFullDisk(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.journal.breaks(fault{refuse: gateway.ErrStorageFull})
		w.tap("ben", "door")
		w.shows("phone-2", "", "free")
		w.told("door", gateway.Refused, gateway.StorageExhausted)
		w.phones.dock("phone-1", "slot-1")
		w.pass(time.Second)
		w.shows("phone-1", "", "free")
		if err := w.engine.Do(w.t.Context(), "tester", gateway.LoadPolicy{Document: policyText(2, "ben")}); err == nil {
			t.Error("a policy was loaded onto a full disk")
		}
		w.journal.breaks(fault{})
		w.pass(10 * time.Second)
		w.tap("ben", "door")
		w.told("door", gateway.Granted, gateway.CheckOut)
		kinds := map[gateway.RecordKind]int{}
		for _, k := range w.kinds() {
			kinds[k]++
		}
		if kinds[gateway.SessionCleared] != 1 || kinds[gateway.ReleaseRequested] != 1 {
			t.Errorf("the return on the full disk was not written down later: %v", kinds)
		}
	})
}

// Where the outcome of a commit is unknown, the engine ends, whichever way it went.
func TestUnknownOutcomeEndsTheEngine(t *testing.T) {
	for name, f := range map[string]fault{
		"not written":          {refuse: errors.New("disk on fire")},
		"written all the same": {lie: errors.New("disk on fire")},
	} {
		t.Run(name, func(t *testing.T) {
			inWard(t, func(w *ward) {
				before := len(w.phones.sent)
				w.journal.breaks(f)
				w.tap("ana", "door")
				if len(w.phones.sent) != before {
					t.Error("a command was sent although its commit is not known to stand")
				}
				if len(w.phones.prepared) != 1 {
					t.Errorf("%d binds were announced before the commit, want 1", len(w.phones.prepared))
				}
				w.crashed()
				w.start()
				w.phones.link("phone-1")
				w.phones.link("phone-2")
				w.pass(20 * time.Second)
				w.shows("phone-1", "", "free")
			})
		})
	}
}

// A burst of taps is one commit after another for many, not one for each; everybody gets an answer.
func TestShiftChange(t *testing.T) {
	inWard(t, func(w *ward) {
		for range 20 {
			for _, name := range []string{"ana", "ben", "cai", "dee", "nobody"} {
				w.engine.Tap(w.t.Context(), gateway.Tap{Reader: "door", Credential: badge(name), Assurance: gateway.Assurance{Card: gateway.CardNumber}, At: time.Now()})
			}
		}
		w.pass(time.Second)
		w.shows("phone-1", "Ana Test", "bound")
		w.shows("phone-2", "Ben Test", "bound")
		if f := w.readers.all; len(f) < 100 {
			t.Errorf("100 taps had %d answers", len(f))
		}
	})
}

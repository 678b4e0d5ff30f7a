package session

import (
	"slices"
	"testing"
	"time"

	"tapward/gateway"
)

// kinds are the records of a step, in order.
func kinds(effects []Effect) (kinds []gateway.RecordKind) {
	for _, eff := range effects {
		if r, ok := eff.(*Record); ok {
			kinds = append(kinds, r.Kind)
		}
	}
	return kinds
}

// A phone that was set aside comes back only by its own proof, whatever is done to its pairing meanwhile.
func TestPairingAnewLiftsNoQuarantine(t *testing.T) {
	for name, reason := range map[string]gateway.Reason{"silent": gateway.PhoneSilent, "not clear": gateway.PhoneNotCleared} {
		t.Run(name, func(t *testing.T) {
			s := inPhase(Quarantined)
			s.Phones[0].Reason = reason
			s, _ = Step(s, Removed{hours, labels[0]})
			s, _ = Step(s, Added{hours, labels[0]})
			s, effects := Step(s, Seen{hours, labels[0], gateway.Truth{Fence: 6}})
			if p := s.Phones[0]; p.Phase != Quarantined || p.Await != gateway.Release {
				t.Fatalf("paired anew it is %s and awaits %s", p.Phase, p.Await)
			}
			if k := kinds(effects); k != nil {
				t.Errorf("its hello was recorded as %v", k)
			}
			tap := Tapped{At: hours, Reader: doors[0], Clinician: people[0], Terms: allTerms, Candidates: labels[:1]}
			if _, effects := Step(s, tap); !slices.Equal(kinds(effects), []gateway.RecordKind{gateway.TapRefused}) {
				t.Errorf("a tap meanwhile made %v", kinds(effects))
			}
			failed, _ := Step(s, Answered{hours, gateway.Receipt{Kind: gateway.ClearFailed, Phone: labels[0], Next: 7, Truth: gateway.Truth{Fence: 7}}})
			if p := failed.Phones[0]; p.Phase != Quarantined || p.Reason != gateway.PhoneNotCleared {
				t.Errorf("not clear, it is %s (%s)", p.Phase, p.Reason)
			}
			cleared, _ := Step(s, Answered{hours, gateway.Receipt{Kind: gateway.Cleared, Phone: labels[0], Next: 7, Truth: gateway.Truth{Fence: 7}}})
			if p := cleared.Phones[0]; p.Phase != Free || p.Fence != 7 {
				t.Errorf("proven clear it is %s at fence %d", p.Phase, p.Fence)
			}
		})
	}
}

func TestNewPhoneIsFreeAtItsFirstHello(t *testing.T) {
	s, _ := Step(State{Box: ourBox}, Added{hours, labels[0]})
	if p := s.Phones[0]; p.Phase != Quarantined || p.Reason != gateway.NewlyPaired {
		t.Errorf("before it said anything it is %s (%s)", p.Phase, p.Reason)
	}
	s, effects := Step(s, Seen{hours, labels[0], gateway.Truth{}})
	if p := s.Phones[0]; p.Phase != Free || !p.Linked || !slices.Equal(kinds(effects), []gateway.RecordKind{gateway.PhoneFreed}) {
		t.Errorf("after its first hello it is %s, recorded %v", p.Phase, kinds(effects))
	}
}

// A free phone that the registry does not offer is not given for being in front of a reader.
func TestPresentedPhoneMustBeFit(t *testing.T) {
	s, _ := Step(inPhase(Free), Seen{hours, labels[1], gateway.Truth{}})
	tap := Tapped{At: hours, Reader: doors[1], Clinician: people[0], Terms: allTerms, Presented: labels[0], Candidates: labels[1:]}
	after, effects := Step(s, tap)
	if after.Phones[0].Phase != Free || after.Phones[1].Phase != Binding {
		t.Errorf("the phones are %s and %s", after.Phones[0].Phase, after.Phones[1].Phase)
	}
	told := func(effects []Effect) (all []gateway.Feedback) {
		for _, eff := range effects {
			if tell, ok := eff.(Tell); ok {
				all = append(all, tell.Feedback)
			}
		}
		return all
	}
	if f := told(effects); len(f) != 1 || f[0].Reason != gateway.OtherPhone || f[0].Phone != labels[1] {
		t.Errorf("told %+v", f)
	}
	bound := after.Phones[1]
	_, effects = Step(after, Answered{hours, gateway.Receipt{Kind: gateway.Bound, Phone: bound.ID, Next: bound.Next,
		Truth: gateway.Truth{Fence: bound.Next, Box: ourBox, Grant: bound.Grant.Digest()}}})
	if f := told(effects); len(f) != 1 || f[0].Signal != gateway.Granted || f[0].Reason != gateway.OtherPhone {
		t.Errorf("told at last %+v", f)
	}
	tap.Candidates = nil
	if _, effects := Step(s, tap); len(told(effects)) != 1 || told(effects)[0].Reason != gateway.PhoneUnfit {
		t.Errorf("without another phone, told %+v", told(effects))
	}
}

// Whoever waits for a phone that is being cleared is refused once, also when the box restarts before it is clear.
func TestCustodyFailsOnce(t *testing.T) {
	for name, refuses := range map[string]Event{
		"barred":                 Barred{hours, people[1:]},
		"nothing can be written": Exhausted{hours},
	} {
		t.Run(name, func(t *testing.T) {
			tap := Tapped{At: hours, Reader: doors[1], Clinician: people[1], Terms: allTerms, Presented: labels[0]}
			s, _ := Step(inPhase(Bound), tap)
			s, effects := Step(s, refuses)
			if !slices.Equal(kinds(effects), []gateway.RecordKind{gateway.CustodyFailed}) {
				t.Fatalf("refused with %v", kinds(effects))
			}
			s, effects = Step(s, Restarted{At: hours})
			if k := kinds(effects); k != nil {
				t.Errorf("the restart recorded %v", k)
			}
			if s.Phones[0].Phase != Releasing {
				t.Errorf("the phone is %s", s.Phones[0].Phase)
			}
		})
	}
	t.Run("ordered by an operator, then restarted", func(t *testing.T) {
		tap := Tapped{At: hours, Reader: doors[1], Clinician: people[1], Terms: allTerms, Presented: labels[0]}
		s, _ := Step(inPhase(Bound), tap)
		s, _ = Step(s, Ordered{hours, labels[0], "op"})
		_, effects := Step(s, Restarted{At: hours})
		if !slices.Equal(kinds(effects), []gateway.RecordKind{gateway.CustodyFailed}) {
			t.Errorf("the restart recorded %v", kinds(effects))
		}
	})
}

// No command leads past the last fence, so a phone that stands there has no link worth the name.
func TestLastFence(t *testing.T) {
	end := gateway.Truth{Fence: gateway.LastFence}
	for _, phase := range Phases {
		s, effects := Step(inPhase(phase), Seen{hours, labels[0], end})
		p := s.Phones[0]
		if p.Linked || p.Fence == gateway.LastFence || !slices.Contains(kinds(effects), gateway.PhoneInconsistent) {
			t.Errorf("%s: linked %v at fence %d, recorded %v", phase, p.Linked, p.Fence, kinds(effects))
		}
		for _, eff := range effects {
			if _, sent := eff.(Send); sent {
				t.Errorf("%s: it was sent a command", phase)
			}
		}
		before := inPhase(phase)
		before.Phones[0].Fence = gateway.LastFence - 1
		at := hours.Add(time.Minute)
		for range 4 { // each unanswered command is aimed above the last
			before, effects = Step(before, Ordered{at, labels[0], "op"})
			for _, eff := range effects {
				if c, sent := eff.(Send); sent && c.Next == 0 {
					t.Errorf("%s: a command's fence went round to 0", phase)
				}
			}
		}
	}
}

// A return is a phone that came into a dock, used before or not; one that is used in its dock stays.
func TestDockedIsAReturn(t *testing.T) {
	s, _ := Step(inPhase(Bound), PickedUp{hours, labels[0]})
	if s.Phones[0].Phase != Bound {
		t.Errorf("used, it is %s", s.Phones[0].Phase)
	}
	for _, s := range []State{s, inPhase(Bound)} {
		if after, _ := Step(s, Docked{hours, labels[0]}); after.Phones[0].Phase != Releasing {
			t.Errorf("docked, picked up %v, it is %s", s.Phones[0].PickedUp, after.Phones[0].Phase)
		}
	}
}

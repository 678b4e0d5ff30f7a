package session

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tapward/gateway"
)

// hours is when these tests play.
var hours = time.Unix(1_700_000_000, 0)

// inPhase is a ward of two phones of which the first is in the given phase at fence 6; where it has a session, that is
// Ana's. Its bind, where one is awaited, goes from 6 to 7.
func inPhase(phase Phase) State {
	s, _ := Step(State{Box: ourBox}, Added{At: hours, Phone: labels[0]})
	s, _ = Step(s, Added{At: hours, Phone: labels[1]})
	s, _ = Step(s, Seen{hours, labels[0], gateway.Truth{}})
	s, _ = Step(s, Seen{hours, labels[0], gateway.Truth{Fence: 6}})
	tap := Tapped{At: hours, Reader: doors[0], Clinician: people[0], Terms: allTerms, Candidates: labels[:1]}
	switch phase {
	case Binding, Bound:
		s, _ = Step(s, tap)
		if phase == Bound {
			s.Phones[0].Grant.Fence, s.Phones[0].Next, s.Phones[0].Fence = 6, 6, 5
			s, _ = Step(s, Answered{hours, gateway.Receipt{Kind: gateway.Bound, Phone: labels[0], Next: 6,
				Truth: gateway.Truth{Fence: 6, Box: ourBox, Grant: s.Phones[0].Grant.Digest()}}})
		}
	case Releasing:
		s, _ = Step(s, Ordered{hours, labels[0], "op"})
	case Quarantined:
		s, _ = Step(s, Ordered{hours, labels[0], "op"})
		due := s.Phones[0].Due.Answer
		s, _ = Step(s, Deadline{due, labels[0], AnswerTimer})
	case Foreign:
		s, _ = Step(s, Seen{hours, labels[0], gateway.Truth{Fence: 6, Box: otherBox, Grant: gateway.Digest{9}}})
	}
	if p := s.Phones[0]; p.Phase != phase || p.Fence != 6 {
		panic(fmt.Sprintf("this test's ward is %s at fence %d, not %s at 6", p.Phase, p.Fence, phase))
	}
	return s
}

// TestEveryHelloInEveryPhase is the table of what follows from a phone's word about itself, in every phase.
func TestEveryHelloInEveryPhase(t *testing.T) {
	type outcome struct {
		phase Phase
		sent  gateway.CommandKind
		kinds []gateway.RecordKind
	}
	const none = gateway.NoCommand
	kinds := func(k ...gateway.RecordKind) []gateway.RecordKind { return k }
	odd, ask := gateway.PhoneInconsistent, gateway.ReleaseRequested
	failed, ended, foreign := gateway.BindFailed, gateway.CustodyFailed, gateway.PhoneForeign
	opened, locked := gateway.SessionOpened, gateway.SessionLocked
	// What the phone says: nothing on it, at the fence we know, further on, or back; our session, open, locked, or at a
	// fence further on; another session of this box; a session of another box.
	hellos := []string{"empty", "empty, ahead", "empty, back", "ours", "ours, locked", "ours, back", "stray", "elsewhere"}
	table := map[Phase][]outcome{
		Free: {
			{Free, none, nil}, {Free, none, nil}, {Releasing, gateway.Release, kinds(odd, ask)},
			{Releasing, gateway.Release, kinds(odd, ask)}, {Releasing, gateway.Release, kinds(odd, ask)},
			{Releasing, gateway.Release, kinds(odd, odd, ask)}, {Releasing, gateway.Release, kinds(odd, ask)},
			{Foreign, none, kinds(foreign)},
		},
		Binding: {
			{Binding, gateway.Bind, nil}, {Releasing, gateway.Release, kinds(failed, ended)},
			{Releasing, gateway.Release, kinds(odd, failed, ended)},
			{Bound, none, kinds(opened)}, {Bound, none, kinds(opened, locked)}, {Bound, none, kinds(odd, opened)},
			{Releasing, gateway.Release, kinds(failed, ended)}, {Foreign, none, kinds(foreign, ended)},
		},
		Bound: {
			{Releasing, gateway.Release, kinds(odd, ask)}, {Releasing, gateway.Release, kinds(odd, ask)},
			{Releasing, gateway.Release, kinds(odd, odd, ask)},
			{Bound, gateway.Renew, nil}, {Bound, none, kinds(locked)}, {Bound, gateway.Renew, kinds(odd)},
			{Releasing, gateway.Release, kinds(odd, ask)}, {Foreign, none, kinds(foreign)},
		},
		Releasing: {
			{Releasing, gateway.Release, nil}, {Releasing, gateway.Release, nil}, {Releasing, gateway.Release, kinds(odd)},
			{Releasing, gateway.Release, nil}, {Releasing, gateway.Release, nil}, {Releasing, gateway.Release, kinds(odd)},
			{Releasing, gateway.Release, nil}, {Foreign, none, kinds(foreign)},
		},
		Quarantined: {
			{Quarantined, gateway.Release, nil}, {Quarantined, gateway.Release, nil}, {Quarantined, gateway.Release, kinds(odd)},
			{Quarantined, gateway.Release, nil}, {Quarantined, gateway.Release, nil}, {Quarantined, gateway.Release, kinds(odd)},
			{Quarantined, gateway.Release, nil}, {Foreign, none, kinds(foreign)},
		},
		Foreign: {
			{Releasing, gateway.Release, kinds(ask)}, {Releasing, gateway.Release, kinds(ask)},
			{Releasing, gateway.Release, kinds(odd, ask)},
			{Releasing, gateway.Release, kinds(ask)}, {Releasing, gateway.Release, kinds(ask)},
			{Releasing, gateway.Release, kinds(odd, ask)}, {Releasing, gateway.Release, kinds(ask)},
			{Foreign, none, nil},
		},
	}
	for _, phase := range Phases {
		for i, hello := range hellos {
			before := inPhase(phase)
			truth := spoken(hello, before.Phones[0])
			after, effects := Step(before, Seen{hours.Add(time.Second), labels[0], truth})
			p, want := after.Phones[0], table[phase][i]
			got := outcome{phase: p.Phase}
			for _, eff := range effects {
				switch eff := eff.(type) {
				case Send:
					got.sent = eff.Kind
					if eff.Expect != truth.Fence || eff.Next != truth.Fence+1 {
						t.Errorf("%s, %s: %s goes from %d to %d at a phone that is at %d", phase, hello, eff.Kind, eff.Expect, eff.Next, truth.Fence)
					}
				case *Record:
					got.kinds = append(got.kinds, eff.Kind)
				}
			}
			if got.phase != want.phase || got.sent != want.sent || !slices.Equal(got.kinds, want.kinds) {
				t.Errorf("%s, %s: became %s, sent %s, recorded %v; want %s, %s, %v",
					phase, hello, got.phase, got.sent, got.kinds, want.phase, want.sent, want.kinds)
			}
			if !p.Linked || p.Fence != truth.Fence {
				t.Errorf("%s, %s: linked %v, fence %d where the phone proved %d", phase, hello, p.Linked, p.Fence, truth.Fence)
			}
			if p.Phase == Bound && (truth.Grant != p.Grant.Digest() || p.Locked != truth.Locked) {
				t.Errorf("%s, %s: box and phone do not agree about the session", phase, hello)
			}
		}
	}
}

// spoken is a hello of the phone p in words.
func spoken(hello string, p Phone) gateway.Truth {
	own := p.Grant.Digest()
	at := p.Fence
	if p.Phase == Binding {
		at = p.Next // it has the session only with that fence
	}
	switch hello {
	case "empty":
		return gateway.Truth{Fence: p.Fence}
	case "empty, ahead":
		return gateway.Truth{Fence: p.Fence + 3}
	case "empty, back":
		return gateway.Truth{Fence: p.Fence - 3}
	case "ours":
		return gateway.Truth{Fence: at, Box: ourBox, Grant: own}
	case "ours, locked":
		return gateway.Truth{Fence: at, Box: ourBox, Grant: own, Locked: true}
	case "ours, back":
		return gateway.Truth{Fence: p.Fence - 3, Box: ourBox, Grant: own}
	case "stray":
		return gateway.Truth{Fence: at, Box: ourBox, Grant: gateway.Digest{7}}
	case "elsewhere":
		return gateway.Truth{Fence: p.Fence + 1, Box: otherBox, Grant: gateway.Digest{8}}
	}
	panic(hello)
}

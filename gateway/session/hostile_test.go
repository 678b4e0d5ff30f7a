package session

import (
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tapward/gateway"
)

// TestHostilePhone lets a paired phone lie in every field it can sign. It may spoil its own sessions; it never makes the
// box fail, gets a session that no tap asked for, or touches what the box knows of another phone, except that whoever
// waited for it is offered that one.
func TestHostilePhone(t *testing.T) {
	opened := 0
	rapid.Check(t, func(t *rapid.T) {
		w := hostileWard{t: t, permits: map[gateway.Custody]gateway.ClinicianID{}, now: hours}
		w.box = inPhase(Free)
		w.box, _ = Step(w.box, Seen{w.now, labels[1], gateway.Truth{}})
		for range 60 {
			opened += w.step()
		}
	})
	if t.Logf("%d sessions were opened", opened); opened < 10 {
		t.Error("hardly a session was ever opened: this proves nothing")
	}
}

type hostileWard struct {
	t       *rapid.T
	box     State
	permits map[gateway.Custody]gateway.ClinicianID
	now     time.Time
}

// step lets something happen and counts the sessions it opened.
func (w *hostileWard) step() (opened int) {
	w.now = w.now.Add(time.Duration(rapid.IntRange(0, int(time.Minute)).Draw(w.t, "pause")))
	liar, other := w.box.Phones[0], w.box.Phones[1]
	e, lie := w.event(liar)
	after, effects := Step(w.box, e)
	if tap, ok := e.(Tapped); ok && after.Custody > w.box.Custody {
		w.permits[after.Custody] = tap.Clinician
	}
	w.box = after
	for _, eff := range effects {
		r, ok := eff.(*Record)
		if !ok || r.Kind != gateway.SessionOpened {
			continue
		}
		opened++
		if liar.Phase != Binding || liar.For == nil || r.Phone != liar.ID {
			w.t.Fatalf("%T opened %s from %s without a request", e, r.Phone, liar.Phase)
		}
		if w.permits[r.Custody] != r.Clinician {
			w.t.Fatalf("custody %d was permitted to %q and opened for %q", r.Custody, w.permits[r.Custody], r.Clinician)
		}
	}
	if now := after.Phones[1]; lie && !reflect.DeepEqual(now, other) {
		offered := other.Phase == Free && now.Phase == Binding && now.For != nil && w.permits[now.Custody] == now.Owner
		if !offered {
			w.t.Fatalf("by the word of %s, %s went from %s to %s", liar.ID, other.ID, other.Phase, now.Phase)
		}
	}
	return opened
}

// event is the liar's word, or what goes on around it.
func (w *hostileWard) event(liar Phone) (e Event, lie bool) {
	switch rapid.IntRange(0, 12).Draw(w.t, "what") {
	case 0:
		return Tapped{
			At: w.now, Reader: doors[0], Clinician: rapid.SampledFrom(people).Draw(w.t, "who"), Terms: allTerms,
			Presented: rapid.SampledFrom([]gateway.PhoneID{"", labels[0]}).Draw(w.t, "presented"), Candidates: labels,
		}, false
	case 1:
		if at, phone, timer := w.box.Earliest(); !at.IsZero() {
			w.now = at
			return Deadline{at, phone, timer}, false
		}
		return Restarted{At: w.now, SameBoot: true}, false
	case 2:
		return Gone{w.now, labels[0]}, true
	case 3, 4:
		return Seen{w.now, labels[0], w.truth(liar)}, true
	case 5, 6, 7, 8, 9, 10: // it tells the truth, or would if it had obeyed: lies need something to be about
		kind := map[gateway.CommandKind]gateway.ReceiptKind{gateway.Bind: gateway.Bound, gateway.Release: gateway.Cleared}[liar.Await]
		truth := gateway.Truth{Fence: liar.Next}
		if kind == gateway.Bound {
			truth.Box, truth.Grant = ourBox, liar.Grant.Digest()
		}
		return Answered{w.now, gateway.Receipt{Kind: kind, Phone: labels[0], Next: liar.Next, Truth: truth}}, true
	}
	return Answered{w.now, gateway.Receipt{
		Kind:  gateway.ReceiptKind(rapid.IntRange(0, 7).Draw(w.t, "kind")),
		Phone: labels[0], Next: w.fence(liar), Truth: w.truth(liar),
		Reason: rapid.SampledFrom([]gateway.Reason{"", gateway.IdleLock, gateway.LimitReached, "nonsense"}).Draw(w.t, "reason"),
	}}, true
}

func (w *hostileWard) truth(liar Phone) gateway.Truth {
	return gateway.Truth{
		Fence:  w.fence(liar),
		Box:    rapid.SampledFrom([]gateway.BoxID{"", ourBox, otherBox}).Draw(w.t, "box"),
		Grant:  rapid.SampledFrom([]gateway.Digest{{}, liar.Grant.Digest(), {7}, w.box.Phones[1].Grant.Digest()}).Draw(w.t, "grant"),
		Locked: rapid.Bool().Draw(w.t, "locked"),
	}
}

// fence is one that would be right, or one at an edge.
func (w *hostileWard) fence(liar Phone) gateway.Fence {
	near := []gateway.Fence{liar.Next, liar.Fence, liar.Fence + 1, liar.Fence + 2, 0, 1, math.MaxUint64, math.MaxUint64 - 1, math.MaxInt64}
	return rapid.SampledFrom(near).Draw(w.t, "fence")
}

// TestEveryEventInEveryPhase gives every event to a ward in every phase, about the phone in that phase and about one that
// nobody paired. No event may write into the state it was given, and what is not ours changes nothing.
func TestEveryEventInEveryPhase(t *testing.T) {
	for _, phase := range Phases {
		for _, e := range everyEvent(labels[0]) {
			before, untouched := inPhase(phase), inPhase(phase)
			after, effects := Step(before, e)
			if !reflect.DeepEqual(before, untouched) {
				t.Errorf("%s: %T wrote into the state it was given", phase, e)
			}
			if !slices.IsSortedFunc(after.Phones, func(a, b Phone) int { return cmpID(a.ID, b.ID) }) {
				t.Errorf("%s: %T left the phones out of order", phase, e)
			}
			for _, eff := range effects {
				if r, ok := eff.(*Record); ok && (r.Kind == "" || r.At.IsZero()) {
					t.Errorf("%s: %T made a record without a kind or a time: %+v", phase, e, r)
				}
			}
		}
		for _, e := range everyEvent("phone-of-nobody") {
			switch e.(type) {
			case Tapped, Denied, Barred, Exhausted, Restarted, Added: // not about that phone alone
				continue
			}
			before := inPhase(phase)
			if after, effects := Step(before, e); !reflect.DeepEqual(before, after) || len(effects) > 0 {
				t.Errorf("%s: %T of a phone that is not paired did something: %v", phase, e, effects)
			}
		}
	}
}

// everyEvent is one of each kind, about a phone.
func everyEvent(phone gateway.PhoneID) []Event {
	at := hours.Add(time.Minute)
	return []Event{
		Tapped{At: at, Reader: doors[0], Clinician: people[1], Terms: allTerms, Presented: phone, Candidates: labels},
		Denied{At: at, Reader: doors[0], Reason: gateway.UnknownBadge},
		Answered{at, gateway.Receipt{Kind: gateway.Cleared, Phone: phone, Next: 7, Truth: gateway.Truth{Fence: 7}}},
		Seen{at, phone, gateway.Truth{Fence: 6}},
		Gone{at, phone},
		PickedUp{at, phone},
		Docked{at, phone},
		Deadline{at, phone, AnswerTimer},
		Barred{at, people},
		Withdrawn{at, phone, gateway.RevokedPhone},
		Ordered{at, phone, "op"},
		Exhausted{at},
		Added{at, phone},
		Removed{at, phone},
		Restarted{At: at},
	}
}

// TestNoEventIsForgotten compares the list above with the declarations.
func TestNoEventIsForgotten(t *testing.T) {
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared, listed []string
	for _, m := range regexp.MustCompile(`func \(e (\w+)\) +when\(\)`).FindAllStringSubmatch(string(source), -1) {
		declared = append(declared, m[1])
	}
	for _, e := range everyEvent(labels[0]) {
		listed = append(listed, reflect.TypeOf(e).Name())
	}
	slices.Sort(declared)
	slices.Sort(listed)
	if len(declared) == 0 || !slices.Equal(declared, listed) {
		t.Errorf("declared are %v, tried are %v", declared, listed)
	}
}

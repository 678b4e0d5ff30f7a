package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tapward/gateway"
)

// twin is docs/policy.md, "How a tap is decided", line by line, over what the test itself wrote into the document.
type twin struct {
	ward    string // the box's
	wards   []string
	people  []twinPerson
	readers []twinReader
	actions map[string]twinNeed
	classes map[string]twinNeed
}

type twinPerson struct {
	id, role string
	wards    []string
	badge    string // the number in clear: the twin hashes nothing
	expires  time.Time
	revoked  bool
}

type twinReader struct{ id, ward string }

type twinNeed struct {
	card, holder int
	roles        []string
}

type twinTap struct {
	badge                       string
	reader, ward, action, class string
	at                          time.Time
	card, holder                int
}

func (w twin) answer(tap twinTap) string {
	var who *twinPerson
	for i, p := range w.people {
		if p.badge == tap.badge && p.badge != "" {
			who = &w.people[i]
		}
	}
	action, isAction := w.actions[tap.action]
	class, isClass := w.classes[tap.class]
	switch {
	case !slices.Contains(w.wards, w.ward):
		return "no-policy"
	case who == nil:
		return "unknown-badge"
	case who.revoked:
		return "revoked-badge"
	case !who.expires.IsZero() && (tap.at.IsZero() || tap.at.Equal(who.expires) || tap.at.After(who.expires)):
		return "expired-badge"
	case tap.ward != w.ward || !slices.Contains(who.wards, tap.ward):
		return "wrong-ward"
	case !slices.Contains(w.readers, twinReader{tap.reader, w.ward}):
		return "unknown-reader"
	case tap.at.IsZero() || !isAction:
		return "not-permitted"
	case action.roles != nil && !slices.Contains(action.roles, who.role):
		return "not-permitted"
	case tap.class != "" && !isClass:
		return "not-permitted"
	case tap.class != "" && class.roles != nil && !slices.Contains(class.roles, who.role):
		return "not-permitted"
	case tap.card < action.card || tap.holder < action.holder:
		return "not-enough-proof"
	case tap.class != "" && (tap.card < class.card || tap.holder < class.holder):
		return "not-enough-proof"
	}
	return ""
}

// document writes the twin's world as an operator would.
func (w twin) document(key gateway.BadgeKey) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version = 1\nsite = \"s\"\n")
	for _, id := range w.wards {
		fmt.Fprintf(&b, "[[ward]]\nid = %q\nname = %q\n", id, "Ward "+id)
	}
	for table, needs := range map[string]map[string]twinNeed{"action": w.actions, "class": w.classes} {
		for name, need := range needs {
			fmt.Fprintf(&b, "[%s.%s]\ncard = %q\nholder = %q\n", table, name,
				gateway.CardProof(need.card), gateway.HolderCheck(need.holder))
			if need.roles != nil {
				fmt.Fprintf(&b, "roles = %s\n", list(need.roles))
			}
		}
	}
	for _, r := range w.readers {
		fmt.Fprintf(&b, "[[reader]]\nid = %q\nward = %q\npool = \"p\"\n", r.id, r.ward)
	}
	for _, p := range w.people {
		fmt.Fprintf(&b, "[[clinician]]\nid = %q\nname = \"N\"\nrole = %q\nwards = %s\nrevoked = %v\n", p.id, p.role, list(p.wards), p.revoked)
		if p.badge != "" {
			fmt.Fprintf(&b, "badges = [%q]\n", gateway.NewCredential(gateway.UID, []byte(p.badge)).Hash(key))
		}
		if !p.expires.IsZero() {
			fmt.Fprintf(&b, "expires = %s\n", p.expires.Format(time.RFC3339))
		}
	}
	return b.String()
}

func list(words []string) string { return `["` + strings.Join(words, `", "`) + `"]` }

func drawTwin(t *rapid.T) twin {
	w := twin{actions: map[string]twinNeed{}, classes: map[string]twinNeed{}}
	w.wards = subset(t, "wards", "a", "b", "c")
	w.ward = rapid.SampledFrom([]string{"a", "a", "a", "b", "z"}).Draw(t, "box's ward")
	need := func(label string) twinNeed {
		n := twinNeed{card: rapid.IntRange(0, 3).Draw(t, label), holder: rapid.IntRange(0, 2).Draw(t, label)}
		if rapid.Bool().Draw(t, label) {
			n.roles = subset(t, label, "nurse", "physician", "porter")
		}
		return n
	}
	for _, a := range Actions {
		w.actions[string(a)] = need("action")
	}
	for _, c := range gateway.Classes {
		w.classes[string(c)] = need("class")
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "people") {
		p := twinPerson{id: fmt.Sprint("c-", i), role: rapid.SampledFrom([]string{"nurse", "physician"}).Draw(t, "role")}
		p.wards = subset(t, "posts", w.wards...)
		p.revoked = rapid.IntRange(0, 4).Draw(t, "revoked") == 0
		if rapid.IntRange(0, 4).Draw(t, "badge") > 0 {
			p.badge = fmt.Sprint("badge ", i)
		}
		if rapid.Bool().Draw(t, "ends") {
			p.expires = time.Unix(int64(rapid.IntRange(1000, 1003).Draw(t, "expires")), 0).UTC()
		}
		w.people = append(w.people, p)
	}
	for _, id := range subset(t, "readers", "door", "dock") {
		w.readers = append(w.readers, twinReader{id, rapid.SampledFrom(w.wards).Draw(t, "reader's ward")})
	}
	return w
}

func drawTap(t *rapid.T, w twin) twinTap {
	tap := twinTap{
		badge:  fmt.Sprint("badge ", rapid.IntRange(0, 6).Draw(t, "tapped")),
		reader: rapid.SampledFrom([]string{"door", "dock", "gone"}).Draw(t, "reader"),
		ward:   rapid.SampledFrom([]string{w.ward, w.ward, w.ward, "b", "z"}).Draw(t, "ward"),
		action: rapid.SampledFrom([]string{"check-out", "hand-off", "take-over", "check-in", "steal", ""}).Draw(t, "action"),
		class:  rapid.SampledFrom([]string{"", "", "convenience", "workflow", "privileged", "luxury"}).Draw(t, "class"),
		card:   rapid.IntRange(0, 3).Draw(t, "card"),
		holder: rapid.IntRange(0, 2).Draw(t, "holder"),
	}
	if s := rapid.IntRange(999, 1004).Draw(t, "at"); s > 999 {
		tap.at = time.Unix(int64(s), 0)
	}
	// Left to chance alone, hardly a tap comes as far as to its proof.
	if rapid.Bool().Draw(t, "in order") {
		tap.reader, tap.ward, tap.class = rapid.SampledFrom(w.readers).Draw(t, "own reader").id, w.ward, ""
		tap.action = string(rapid.SampledFrom(Actions).Draw(t, "known action"))
	}
	return tap
}

// subset draws some of the words, at least one.
func subset(t *rapid.T, label string, words ...string) []string {
	var out []string
	for _, w := range words {
		if rapid.Bool().Draw(t, label) {
			out = append(out, w)
		}
	}
	if out == nil {
		out = []string{rapid.SampledFrom(words).Draw(t, label)}
	}
	return out
}

// For every world and every tap the snapshot answers as the manual says.
func TestSnapshotAnswersAsTheManual(t *testing.T) {
	key := gateway.BadgeKey{1}
	answers := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := drawTwin(t)
		text := w.document(key)
		doc, err := Parse([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		s := New(doc, w.ward, key)
		for range 20 {
			tap := drawTap(t, w)
			who, known := s.Identify(gateway.NewCredential(gateway.UID, []byte(tap.badge)))
			got := s.Decide(Request{
				Clinician: who, Known: known, Reader: gateway.ReaderID(tap.reader), Ward: tap.ward, At: tap.at,
				Action: Action(tap.action), Class: gateway.Class(tap.class),
				Assurance: gateway.Assurance{Card: gateway.CardProof(tap.card), Holder: gateway.HolderCheck(tap.holder)},
			})
			want := w.answer(tap)
			answers[want]++
			if string(got.Reason) != want || got.Permit != (want == "") {
				t.Fatalf("%+v: got %+v, want %q\n%s", tap, got, want, text)
			}
		}
	})
	if testing.Short() {
		return // rapid draws too few worlds for each answer to occur
	}
	for _, reason := range []string{"", "no-policy", "unknown-badge", "revoked-badge", "expired-badge", "wrong-ward",
		"unknown-reader", "not-permitted", "not-enough-proof"} {
		if answers[reason] == 0 {
			t.Errorf("no tap was answered %q: the worlds are too dull (%v)", reason, answers)
		}
	}
}

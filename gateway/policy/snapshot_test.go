package policy

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
)

var (
	noon   = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	key    = gateway.BadgeKey{7}
	number = gateway.Assurance{Card: gateway.CardNumber}
)

func badge(n int) gateway.Credential {
	return gateway.NewCredential(gateway.UID, fmt.Appendf(nil, "number %d", n))
}

const wards = `version = 7
site = "northside"
[[ward]]
id = "5b"
name = "Ward 5B"
[[ward]]
id = "icu"
name = "Intensive Care"
[[reader]]
id = "door"
ward = "5b"
pool = "p"
[[reader]]
id = "dock"
ward = "icu"
pool = "q"
slot = "dock-1"
`

func person(n int, ward, more string) string {
	return fmt.Sprintf("[[clinician]]\nid = \"c-%d\"\nname = \"Example Person %d\"\nrole = \"nurse\"\nwards = [%q]\nbadges = [%q]\n%s\n",
		n, n, ward, badge(n).Hash(key), more)
}

func ask(s Snapshot, n int) Decision {
	who, known := s.Identify(badge(n))
	return s.Decide(Request{Clinician: who, Known: known, Assurance: number, Reader: "door", Ward: "5b", At: noon, Action: CheckOut})
}

func TestNoPolicyDeniesEverything(t *testing.T) {
	var none Snapshot
	if d := ask(none, 1); d.Permit || d.Reason != gateway.NoPolicy {
		t.Errorf("decision is %+v", d)
	}
	elsewhere := New(mustParse(t, wards+person(1, "5b", "")), "maternity", key)
	if d := ask(elsewhere, 1); d.Reason != gateway.NoPolicy || elsewhere.Loaded() {
		t.Errorf("a document without this ward decided %+v", d)
	}
	if none.Loaded() || none.Signed() || none.Version() != 0 || !none.Digest().IsZero() || none.Ward() != (Ward{}) || none.Name("c-1") != "" {
		t.Error("the zero snapshot claims to be a policy")
	}
	if _, ok := none.Place("door"); ok {
		t.Error("the zero snapshot knows a reader")
	}
	if none.Terms(gateway.Workflow) != defaultTerms[gateway.Workflow] || none.Terms("luxury") != defaultTerms[gateway.Privileged] {
		t.Error("without a policy the terms are not the defaults")
	}
}

func TestSnapshotOfAWard(t *testing.T) {
	doc := mustParse(t, wards+"[class.workflow]\nlease = \"11m\"\n"+person(1, "5b", ""))
	s := New(doc, "5b", key)
	if s.Version() != 7 || s.Digest() != doc.Digest() || s.Signed() || s.Ward().Name != "Ward 5B" || s.Name("c-1") != "Example Person 1" {
		t.Errorf("snapshot is %v", s)
	}
	if p, ok := s.Place("door"); !ok || p != (gateway.Place{Reader: "door", Pool: "p"}) {
		t.Errorf("door is %+v", p)
	}
	if _, ok := s.Place("dock"); ok {
		t.Error("another ward's reader has a place here")
	}
	if got := s.Terms(gateway.Workflow); got.Lease != 11*time.Minute || got.Bind != 5*time.Second {
		t.Errorf("terms are %+v", got)
	}
	if s.Terms("luxury") != defaultTerms[gateway.Privileged] {
		t.Error("an unknown class does not get the shortest life")
	}
}

// The snapshot's own entry is judged: whoever asks with an older copy of a person, or a made-up one, gains nothing.
func TestDecideTrustsOnlyItsOwnRoster(t *testing.T) {
	before := New(mustParse(t, wards+person(1, "5b", "")), "5b", key)
	after := New(mustParse(t, wards+person(1, "5b", "revoked = true")), "5b", key)
	who, known := before.Identify(badge(1))
	r := Request{Clinician: who, Known: known, Assurance: number, Reader: "door", Ward: "5b", At: noon, Action: CheckOut}
	if d := before.Decide(r); !d.Permit {
		t.Fatalf("decision is %+v", d)
	}
	if d := after.Decide(r); d.Reason != gateway.RevokedBadge {
		t.Errorf("a revoked person with an old entry: %+v", d)
	}
	r.Clinician.ID = "c-2"
	if d := before.Decide(r); d.Reason != gateway.UnknownBadge {
		t.Errorf("a made-up person: %+v", d)
	}
}

func TestAnotherKeyKnowsNobody(t *testing.T) {
	s := New(mustParse(t, wards+person(1, "5b", "")), "5b", gateway.BadgeKey{8})
	if _, known := s.Identify(badge(1)); known {
		t.Error("a roster hashed with another key was matched")
	}
	if _, known := s.Identify(gateway.Credential{}); known {
		t.Error("nothing was identified as somebody")
	}
}

func TestSnapshotCannotBeChangedFromOutside(t *testing.T) {
	doc := mustParse(t, wards+"[action.check-out]\nroles = [\"nurse\"]\n"+person(1, "5b", ""))
	s := New(doc, "5b", key)
	doc.Clinicians[0].Wards[0] = "icu"
	doc.Actions[CheckOut].Roles[0] = "nobody"
	who, _ := s.Identify(badge(1))
	who.Wards[0] = "icu"
	if d := ask(s, 1); !d.Permit {
		t.Errorf("decision is %+v after the caller wrote into its copies", d)
	}
}

func TestBarred(t *testing.T) {
	soon := "expires = 2026-03-04T12:00:01Z"
	before := New(mustParse(t, wards+person(1, "5b", "")+person(2, "5b", "")+person(3, "5b", soon)+person(4, "5b", "")+
		person(5, "icu", "")+person(6, "5b", "revoked = true")+person(7, "5b", "")), "5b", key)
	after := New(mustParse(t, wards+person(1, "5b", "")+person(2, "5b", "revoked = true")+person(3, "5b", soon)+
		person(4, "icu", "")+person(6, "5b", "revoked = true")), "5b", key)
	for _, c := range []struct {
		name     string
		now, was Snapshot
		at       time.Time
		want     []gateway.ClinicianID
	}{
		{"revoked, moved, removed", after, before, noon, []gateway.ClinicianID{"c-2", "c-4", "c-7"}},
		{"and expired", after, before, noon.Add(time.Second), []gateway.ClinicianID{"c-2", "c-3", "c-4", "c-7"}},
		{"time alone", before, before, noon.Add(time.Second), []gateway.ClinicianID{"c-3"}},
		{"nothing changed", before, before, noon, nil},
		{"nobody could act", before, Snapshot{}, noon, nil},
		{"the policy is gone", Snapshot{}, after, noon, []gateway.ClinicianID{"c-1", "c-3"}},
	} {
		if got := c.now.Barred(c.was, c.at); !slices.Equal(got, c.want) {
			t.Errorf("%s: barred %q, want %q", c.name, got, c.want)
		}
	}
}

func TestPersonsAndKeyStayOutOfPrintsAndLogs(t *testing.T) {
	doc := mustParse(t, wards+person(1, "5b", ""))
	s := New(doc, "5b", gateway.BadgeKey(bytes.Repeat([]byte{0xAB}, 32)))
	who, _ := New(doc, "5b", key).Identify(badge(1))
	request := Request{Clinician: who, Known: true, Reader: "door", Ward: "5b", Action: CheckOut}
	hash := badge(1).Hash(key).String()
	for _, v := range []any{doc, &doc, s, &s, request, &request, []any{doc, s, request}, struct{ V any }{s}} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		for _, secret := range []string{"Example Person", "c-1", hash, "abab", "171 171"} {
			if strings.Contains(strings.ToLower(out.String()), strings.ToLower(secret)) {
				t.Errorf("%T shows %q:\n%s", v, secret, out.String())
			}
		}
	}
}

// large is a site of 5,000 people with two badges each.
func large() string {
	var b strings.Builder
	b.WriteString(wards)
	for i := range 5000 {
		fmt.Fprintf(&b, "[[clinician]]\nid = \"c-%d\"\nname = \"Example Person %d\"\nrole = \"nurse\"\nwards = [\"5b\", \"icu\"]\nbadges = [%q, %q]\n",
			i, i, badge(i).Hash(key), badge(-1-i).Hash(key))
	}
	return b.String()
}

// A tap costs the same on a ward of one and on a site of 5,000.
func TestATapDoesNotDependOnTheRoster(t *testing.T) {
	few := New(mustParse(t, wards+person(1, "5b", "")), "5b", key)
	many := New(mustParse(t, large()), "5b", key)
	if d := ask(many, 4999); !d.Permit {
		t.Fatalf("decision is %+v", d)
	}
	a := testing.AllocsPerRun(100, func() { ask(few, 1) })
	b := testing.AllocsPerRun(100, func() { ask(many, 1) })
	if b > a+1 {
		t.Errorf("%v allocations on a small roster, %v on a large one", a, b)
	}
}

func BenchmarkParse5000(b *testing.B) {
	doc := []byte(large())
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if _, err := Parse(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew5000(b *testing.B) {
	doc := mustParse(b, large())
	for b.Loop() {
		New(doc, "5b", key)
	}
}

func BenchmarkIdentifyDecide5000(b *testing.B) {
	s := New(mustParse(b, large()), "5b", key)
	for b.Loop() {
		if !ask(s, 4242).Permit {
			b.Fatal("denied")
		}
	}
}

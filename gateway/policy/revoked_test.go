package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tapward/gateway"
)

func revoking(through uint64, entries ...string) gateway.Revocations {
	r := gateway.Revocations{Through: through}
	for i, e := range entries {
		target, id, _ := strings.Cut(e, " ")
		r.List = append(r.List, gateway.Revocation{Number: uint64(i + 1), Target: gateway.RevocationTarget(target), ID: id})
	}
	return r
}

func TestRevokedIsRefusedBeforeEveryRule(t *testing.T) {
	text := wards + person(1, "5b", "") + person(2, "5b", "") + person(3, "icu", "") + person(4, "5b", "expires = 2020-01-01T00:00:00Z")
	s := New(mustParse(t, text), "5b", key).Revoke(revoking(9,
		"clinician c-1", "badge "+badge(2).Hash(key).String(), "clinician c-3", "clinician c-4", "phone p-1", "badge 12", "oracle c-5"))
	for n := 1; n <= 4; n++ {
		if d := ask(s, n); d.Permit || d.Reason != gateway.RevokedBadge {
			t.Errorf("person %d: %+v", n, d)
		}
	}
	if !s.RevokesPhone("p-1") || s.RevokesPhone("p-2") || s.Revokes("c-2") || !s.Revokes("c-1") {
		t.Error("the wrong ones are revoked")
	}
	if d := ask(s.Revoke(revoking(10)), 1); !d.Permit {
		t.Errorf("no longer listed: %+v", d)
	}
	// Another badge of the person with the lost one.
	who, _ := s.Identify(badge(2))
	who.Revoked = false
	if d := s.Decide(Request{Clinician: who, Known: true, Assurance: number, Reader: "door", Ward: "5b", At: noon, Action: CheckOut}); !d.Permit {
		t.Errorf("the other badge: %+v", d)
	}
}

func TestNoPolicyForgetsNoRevocation(t *testing.T) {
	text := wards + person(1, "5b", "")
	doc := mustParse(t, text)
	s, err := Snapshot{}.Revoke(revoking(1, "clinician c-1")).Succeed(doc, "5b", key)
	if err != nil {
		t.Fatal(err)
	}
	next, err := s.Succeed(mustParse(t, strings.Replace(text, "version = 7", "version = 8", 1)), "5b", key)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Snapshot{s, next} {
		if d := ask(p, 1); d.Reason != gateway.RevokedBadge || p.Revocations().Through != 1 {
			t.Errorf("%v: %+v", p, d)
		}
	}
	if out := fmt.Sprintf("%v %+v %#v", next, next, next); strings.Contains(out, "c-1") {
		t.Errorf("it prints people: %s", out)
	}
}

func TestRevokedAreBarred(t *testing.T) {
	before := New(mustParse(t, wards+person(1, "5b", "")+person(2, "5b", "")+person(3, "icu", "")), "5b", key)
	after := before.Revoke(revoking(1, "clinician c-1", "clinician c-3", "clinician c-9", "badge "+badge(2).Hash(key).String()))
	if got := after.Barred(before, noon); !slices.Equal(got, []gateway.ClinicianID{"c-1"}) {
		t.Errorf("barred are %v", got)
	}
	if got := after.Barred(after, noon); got != nil {
		t.Errorf("barred again are %v", got)
	}
}

// The list is its own: whoever gave it, or read it, cannot change it.
func TestRevocationsCannotBeChangedFromOutside(t *testing.T) {
	list := revoking(1, "clinician c-1")
	s := Snapshot{}.Revoke(list)
	list.List[0].ID = "c-2"
	s.Revocations().List[0].ID = "c-3"
	if got := s.Revocations().List[0].ID; got != "c-1" {
		t.Errorf("the list holds %s", got)
	}
}

func TestChangeSaysHowMuch(t *testing.T) {
	before := New(mustParse(t, wards+person(1, "5b", "")+person(2, "5b", "")), "5b", key)
	after := New(mustParse(t, wards+"[class.workflow]\nlease = \"11m\"\n"+person(2, "5b", "revoked = true")+person(3, "icu", "")+person(4, "5b", "")), "5b", key)
	const want = "people: 2 added, 1 removed, 1 changed; classes: 0 added, 0 removed, 1 changed"
	if got := after.Since(before).String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := after.Since(after).String(); got != "nothing changes on this ward" {
		t.Error(got)
	}
	if got := (Snapshot{}).Since(after); got.People.Removed != 3 || got.Readers.Removed != 1 {
		t.Errorf("%+v", got)
	}
	one := before.Revoke(revoking(2, "clinician c-1", "phone p"))
	const words = "new: 0 people, 1 badges, 0 phones; no longer listed: 1; listed in all: 2"
	if got := one.Revoke(revoking(3, "clinician c-1", "badge x")).RevokedSince(one); got != words {
		t.Errorf("%q, want %q", got, words)
	}
}

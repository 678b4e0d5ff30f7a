package policy

import (
	"fmt"
	"reflect"
	"strings"

	"tapward/gateway"
)

// Change is how much of a policy differs from the one before it on a ward, in numbers: it names nobody.
type Change struct{ People, Classes, Actions, Readers Count }

// Count is how many entries are new, gone, or not as they were.
type Count struct{ Added, Removed, Changed int }

// Since compares with the snapshot that was in force before. What is revoked does not count here.
func (s Snapshot) Since(previous Snapshot) Change {
	before, after := previous.in, s.in
	if before == nil {
		before = &content{}
	}
	if after == nil {
		after = &content{}
	}
	return Change{
		People:  count(before.people, after.people),
		Classes: count(before.classes, after.classes),
		Actions: count(before.actions, after.actions),
		Readers: count(before.places, after.places),
	}
}

func count[K comparable, V any](before, after map[K]V) (c Count) {
	for k, now := range after {
		was, ok := before[k]
		switch {
		case !ok:
			c.Added++
		case !reflect.DeepEqual(was, now):
			c.Changed++
		}
	}
	for k := range before {
		if _, ok := after[k]; !ok {
			c.Removed++
		}
	}
	return c
}

// String is a line for people.
func (c Change) String() string {
	var parts []string
	for _, p := range []struct {
		what string
		Count
	}{{"people", c.People}, {"classes", c.Classes}, {"actions", c.Actions}, {"readers", c.Readers}} {
		if p.Count != (Count{}) {
			parts = append(parts, p.what+": "+p.Count.String())
		}
	}
	if len(parts) == 0 {
		return "nothing changes on this ward"
	}
	return strings.Join(parts, "; ")
}

func (c Count) String() string {
	return fmt.Sprintf("%d added, %d removed, %d changed", c.Added, c.Removed, c.Changed)
}

// RevokedSince says in numbers how the revocations in force differ from those before.
func (s Snapshot) RevokedSince(previous Snapshot) string {
	type entry struct {
		target gateway.RevocationTarget
		id     string
	}
	listed := func(of Snapshot) map[entry]bool {
		all := map[entry]bool{}
		for _, v := range of.Revocations().List {
			all[entry{v.Target, v.ID}] = true
		}
		return all
	}
	before, after := listed(previous), listed(s)
	added := map[gateway.RevocationTarget]int{}
	for e := range after {
		if !before[e] {
			added[e.target]++
		}
	}
	return fmt.Sprintf("new: %d people, %d badges, %d phones; no longer listed: %d; listed in all: %d",
		added[gateway.RevokesClinician], added[gateway.RevokesBadge], added[gateway.RevokesPhone], count(before, after).Removed, len(after))
}

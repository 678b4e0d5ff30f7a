package policy

import (
	"fmt"
	"time"

	"tapward/gateway"
)

func parseClasses(t *table) map[gateway.Class]Class {
	out := make(map[gateway.Class]Class, len(gateway.Classes))
	for _, class := range gateway.Classes {
		c := t.child(string(class))
		out[class] = Class{Terms: parseTerms(c, defaultTerms[class]), Needs: parseRequirement(c)}
		c.finish()
	}
	t.finish()
	return out
}

func parseTerms(t *table, out gateway.Terms) gateway.Terms {
	before := len(t.notes.found)
	for _, term := range terms {
		text, ok := read[string](t, term.key, `a duration in quotes, like "90s", "30m" or "12h"`)
		if !ok {
			continue
		}
		d, err := time.ParseDuration(text)
		switch {
		case err != nil:
			t.note(term.key, `%s is not a duration like "90s", "30m" or "12h"`, t.quote(text))
		case d%time.Second != 0:
			t.note(term.key, "%s is not a whole number of seconds", t.quote(text))
		case d < term.min || d > term.max:
			t.note(term.key, "%s is outside %s to %s", t.quote(text), short(term.min), short(term.max))
		default:
			*term.of(&out) = d
		}
	}
	if len(t.notes.found) == before {
		checkTerms(t, out)
	}
	return out
}

// checkTerms holds the terms against each other, defaults included.
func checkTerms(t *table, is gateway.Terms) {
	if is.Lease > is.Limit {
		t.note("", "lease (%s) is longer than limit (%s): no lease may outlive its session", short(is.Lease), short(is.Limit))
	}
	if is.Idle > is.Limit {
		t.note("", "idle (%s) is longer than limit (%s): it would never lock a phone", short(is.Idle), short(is.Limit))
	}
	if is.Drift >= is.Lease {
		t.note("", "drift (%s) must be shorter than lease (%s)", short(is.Drift), short(is.Lease))
	}
}

// short writes a duration as documents do.
func short(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

func parseActions(t *table) map[Action]Requirement {
	out := make(map[Action]Requirement, len(Actions))
	for _, action := range Actions {
		a := t.child(string(action))
		out[action] = parseRequirement(a)
		a.finish()
	}
	t.finish()
	return out
}

func parseRequirement(t *table) Requirement {
	out := Requirement{Least: defaultLeast}
	parseWord(t, "card", &out.Least.Card)
	parseWord(t, "holder", &out.Least.Holder)
	roles, ok := t.texts("roles")
	if ok && len(roles) == 0 {
		t.note("roles", "is empty: name the roles, or leave the key out for every role")
	}
	for _, r := range roles {
		if !ValidID(r) {
			t.note("roles", "%s: %s", t.quote(r), IDRule)
		}
	}
	out.Roles = roles
	return out
}

func parseWord(t *table, key string, to interface{ UnmarshalText([]byte) error }) {
	word, ok := read[string](t, key, `text, like "…"`)
	if !ok {
		return
	}
	if err := to.UnmarshalText([]byte(word)); err != nil {
		t.note(key, "%s", err)
	}
}

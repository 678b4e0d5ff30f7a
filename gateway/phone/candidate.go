package phone

import (
	"slices"
	"strings"
	"unicode"

	"tapward/gateway"
)

const maxName = 63 // bytes; a DNS label

// Candidates are the unpaired phones that were seen, the newest first. There is one for each advertised key, or for
// each name that came without a key; at most twice as many as there are paired phones and 16 more, the oldest dropped.
func (r Registry) Candidates() []gateway.Candidate {
	newest := slices.Clone(r.seen)
	slices.Reverse(newest)
	return newest
}

// sighted puts the phone at the young end of what was seen, unless it is a paired one. A paired phone's name with
// another key is kept: either the phone was set up anew or somebody pretends, and both are for a person to look at.
func (r Registry) sighted(s Sighting) Registry {
	c := gateway.Candidate{Name: printable(s.Name), Key: s.Key}
	if len(s.Addrs) > 0 {
		c.Address = s.Addrs[0].String()
	}
	if c.Name == "" && c.Key.IsZero() || r.pairs(c) {
		return r
	}
	seen := make([]gateway.Candidate, 0, len(r.seen)+1)
	for _, old := range r.seen {
		if !same(old, c) {
			seen = append(seen, old)
		}
	}
	return Registry{r.phones, bounded(append(seen, c), len(r.phones))}
}

// strangersOnly drops the candidates that are paired by now.
func (r Registry) strangersOnly() Registry {
	seen := slices.DeleteFunc(slices.Clone(r.seen), r.pairs)
	return Registry{r.phones, bounded(seen, len(r.phones))}
}

func bounded(seen []gateway.Candidate, phones int) []gateway.Candidate {
	if over := len(seen) - (2*phones + 16); over > 0 {
		return seen[over:]
	}
	return seen
}

func (r Registry) pairs(c gateway.Candidate) bool {
	if c.Key.IsZero() {
		_, known := r.find(gateway.PhoneID(c.Name))
		return known
	}
	return slices.ContainsFunc(r.phones, func(p *paired) bool { return p.Phone.Key == c.Key })
}

func same(a, b gateway.Candidate) bool {
	if a.Key.IsZero() && b.Key.IsZero() {
		return a.Name == b.Name
	}
	return a.Key == b.Key
}

// printable keeps a name from steering a terminal or a log.
func printable(name string) string {
	name = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) && c != unicode.ReplacementChar {
			return c
		}
		return -1
	}, name)
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "")
	}
	return name
}

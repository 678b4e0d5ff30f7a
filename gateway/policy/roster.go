package policy

import (
	"slices"

	"tapward/gateway"
)

// parseRoster reads who may act. Its problems name entries by number only.
func parseRoster(t *table, d Document) []gateway.Clinician {
	var out []gateway.Clinician
	people, badges := map[gateway.ClinicianID]bool{}, map[gateway.BadgeHash]bool{}
	for _, c := range t.list("clinician") {
		c.private = true
		who := gateway.Clinician{
			ID: gateway.ClinicianID(c.id("id")), Name: c.name("name"), Role: c.id("role"), Wards: parsePosts(c, d),
			Badges: parseBadges(c), Expires: c.moment("expires"), Revoked: c.flag("revoked"),
		}
		if who.ID != "" && people[who.ID] {
			c.note("id", "is the id of an earlier clinician too")
		}
		people[who.ID] = true
		for _, b := range who.Badges {
			if badges[b] {
				c.note("badges", "has a badge twice, or one that an earlier clinician has")
			}
			badges[b] = true
		}
		c.finish()
		out = append(out, who)
	}
	return out
}

// parsePosts reads the wards a clinician may act on.
func parsePosts(c *table, d Document) []string {
	c.missing("wards", "the ids of the wards this person may act on")
	wards, ok := c.texts("wards")
	if ok && len(wards) == 0 {
		c.note("wards", "is empty: name the wards, or take the person off the roster")
	}
	for i, w := range wards {
		if _, ok := d.Ward(w); !ok {
			c.note("wards", "number %d is not the id of a [[ward]] of this document", i+1)
		}
	}
	return slices.Clip(wards)
}

// parseBadges reads keyed hashes. A person without a badge is allowed: theirs may be lost.
func parseBadges(c *table) []gateway.BadgeHash {
	texts, _ := c.texts("badges")
	out := make([]gateway.BadgeHash, 0, len(texts))
	for i, text := range texts {
		var hash gateway.BadgeHash
		if hash.UnmarshalText([]byte(text)) != nil {
			c.note("badges", "number %d is not the keyed hash of a badge, 64 hex digits", i+1)
			continue
		}
		out = append(out, hash)
	}
	return out
}

package policy

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// identifier is what every id, pool, slot and role looks like; a phone's is narrower, see gateway.ValidLabel.
var identifier = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// IDRule says in words what ValidID accepts.
const IDRule = "an id is 1 to 64 letters a to z, digits, dots, dashes or underscores, and begins with a letter or digit"

// ValidID says whether s may be an id in a document, or the pool of a phone that is paired.
func ValidID(s string) bool { return identifier.MatchString(s) }

func (t *table) id(key string) string {
	t.missing(key, IDRule)
	return t.optionalID(key)
}

func (t *table) optionalID(key string) string {
	s, ok := read[string](t, key, `text, like "…"`)
	if ok && !ValidID(s) {
		t.note(key, "%s", IDRule)
		return ""
	}
	return s
}

// maxName bounds a name, in characters: what a phone's lock screen can show.
const maxName = 80

func (t *table) name(key string) string {
	t.missing(key, "the name to show")
	s, ok := read[string](t, key, `text, like "…"`)
	if ok && !goodName(s) {
		t.note(key, "must be 1 to %d printable characters, without blanks around them", maxName)
	}
	return s
}

func goodName(s string) bool {
	return s != "" && s == strings.TrimSpace(s) && utf8.RuneCountInString(s) <= maxName &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (t *table) ward(key string, d Document) string {
	id := t.id(key)
	if _, ok := d.Ward(id); id != "" && !ok {
		t.note(key, "%s is not the id of a [[ward]] of this document", t.quote(id))
	}
	return id
}

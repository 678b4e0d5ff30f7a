package gateway

import "regexp"

var label = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)

// ValidLabel says that s may name a box or a phone: it stands in adverts, file names, logs and on the back of the thing.
func ValidLabel(s string) bool { return label.MatchString(s) }

// LabelRule says what ValidLabel wants.
const LabelRule = "1 to 32 letters, digits, dashes or underscores, beginning with a letter or digit"

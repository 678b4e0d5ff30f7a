package gateway

import (
	"fmt"
	"slices"
	"strings"
)

// name and parse are the two directions of every small enumeration that is written as a word.
func name(words []string, i int) string {
	if i < 0 || i >= len(words) {
		return fmt.Sprintf("unknown(%d)", i)
	}
	return words[i]
}

func parse[T ~uint8](words []string, what string, text []byte, to *T) error {
	i := slices.Index(words, string(text))
	if i < 0 {
		return fmt.Errorf("%s %q is not one of %s", what, text, strings.Join(words, ", "))
	}
	*to = T(i)
	return nil
}

package pcsc

import (
	"errors"
	"fmt"
	"strings"

	"tapward/gateway"
)

// MaxReaders is how many readers the daemon of Debian 12 can have.
const MaxReaders = 16

// Config says which of the daemon's readers are whose.
type Config struct{ Readers []Reader }

// Reader gives a PC/SC reader its place on the ward.
//
// Match is a part of the reader's PC/SC name, in any case; * stands for any text. Names consist of product, interface,
// serial number and an index that moves when readers are plugged in another order: match product and serial number
// ("ACR1252*PICC*(RR554-042)"), and the index only where identical readers have no serial number.
type Reader struct {
	ID    gateway.ReaderID
	Match string
}

// Validate reports everything that is wrong with c at once.
func (c Config) Validate() error {
	var wrong []error
	if len(c.Readers) == 0 {
		wrong = append(wrong, errors.New("no reader is named"))
	}
	if len(c.Readers) > MaxReaders {
		wrong = append(wrong, fmt.Errorf("%d readers are named, the PC/SC daemon can have %d", len(c.Readers), MaxReaders))
	}
	ids := make(map[gateway.ReaderID]bool)
	matches := make(map[string]gateway.ReaderID)
	for i, r := range c.Readers {
		if r.ID == "" {
			wrong = append(wrong, fmt.Errorf("reader %d has no id", i+1))
		} else if ids[r.ID] {
			wrong = append(wrong, fmt.Errorf("reader %q is named twice", r.ID))
		}
		ids[r.ID] = true
		pattern := strings.ToLower(r.Match)
		if strings.Trim(pattern, "* ") == "" {
			wrong = append(wrong, fmt.Errorf("reader %q has nothing to match its PC/SC name by", r.ID))
		} else if other, ok := matches[pattern]; ok {
			wrong = append(wrong, fmt.Errorf("readers %q and %q both match %q", other, r.ID, r.Match))
		}
		matches[pattern] = r.ID
	}
	return errors.Join(wrong...)
}

// fits says that pattern describes name.
func fits(pattern, name string) bool {
	rest := strings.ToLower(name)
	for part := range strings.SplitSeq(strings.ToLower(pattern), "*") {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return true
}

// assignment is the PC/SC name that belongs to a configured reader, or why there is none.
type assignment struct {
	name    string
	problem string
}

// assign finds each configured reader among names, the connected ones. Where it cannot be sure it assigns nothing.
func assign(readers []Reader, names []string) []assignment {
	assigned := make([]assignment, len(readers))
	taken := make(map[string][]int)
	for i, r := range readers {
		var fitting []string
		for _, name := range names {
			if fits(r.Match, name) {
				fitting = append(fitting, name)
			}
		}
		switch len(fitting) {
		case 0:
			assigned[i].problem = fmt.Sprintf("No connected reader matches %q. %s", r.Match, connected(names))
		case 1:
			assigned[i].name = fitting[0]
			taken[fitting[0]] = append(taken[fitting[0]], i)
		default:
			assigned[i].problem = fmt.Sprintf("%q matches %d connected readers: %s. Add the serial number to it.",
				r.Match, len(fitting), quoted(fitting))
		}
	}
	for name, claims := range taken {
		if len(claims) < 2 {
			continue
		}
		for _, i := range claims {
			assigned[i] = assignment{problem: fmt.Sprintf("%q matches %q, and so does another configured reader. "+
				"Make one of them narrower.", readers[i].Match, name)}
		}
	}
	return assigned
}

func connected(names []string) string {
	if len(names) == 0 {
		return "Check that the reader is plugged in; none is connected at all."
	}
	return "Check that it is plugged in, and the name; connected are " + quoted(names) + "."
}

func quoted(names []string) string {
	var q []string
	for _, name := range names {
		q = append(q, fmt.Sprintf("%q", name))
	}
	return strings.Join(q, ", ")
}

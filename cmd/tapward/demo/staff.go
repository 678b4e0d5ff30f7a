package demo

import (
	"fmt"
	"strings"
)

// Badge is a person's badge. It has a contactless chip, a 125 kHz coil and a printed number, as many badges do. The
// numbers are ones that no manufacturer gives out.
type Badge struct {
	Name string // what the commands call it
	UID  []byte
	EM   []byte
	Line string
}

// person is somebody on the roster.
type person struct {
	badge, id, name, role string
	more                  string // other lines of their entry
}

// The people are invented.
var staff = []person{
	{"ana", "c-1001", "Ana Demo", "nurse", ""},
	{"ben", "c-1002", "Ben Sample", "nurse", ""},
	{"cora", "c-1003", "Cora Example", "charge-nurse", ""},
	{"eli", "c-1004", "Dr Eli Testcase", "physician", ""},
	{"finn", "c-1005", "Finn Formerly", "nurse", "expires = 2020-01-31T20:00:00+01:00"},
	{"gus", "c-1006", "Gus Blocked", "nurse", "revoked = true"},
}

// stranger is a badge that is on no roster.
const stranger = "stranger"

// badges is every badge there is, by name.
func badges() []Badge {
	var all []Badge
	for _, p := range staff {
		all = append(all, newBadge(p.badge, byte(len(all)+1)))
	}
	return append(all, newBadge(stranger, 0xEE))
}

func newBadge(name string, n byte) Badge {
	return Badge{
		Name: name,
		UID:  []byte{0x00, 0x00, 0xDE, 0x30, 0x00, 0x00, n}, // 00 is no manufacturer of ISO 7816-6
		EM:   []byte{0x00, 0x00, 0x00, 0x00, n},
		Line: fmt.Sprintf("%08d", n),
	}
}

// BadgeNames is what every badge is called.
func BadgeNames() (names []string) {
	for _, b := range badges() {
		names = append(names, b.Name)
	}
	return names
}

func findBadge(name string) (Badge, error) {
	for _, b := range badges() {
		if b.Name == name {
			return b, nil
		}
	}
	return Badge{}, fmt.Errorf("there is no badge %q; there are %s", name, strings.Join(BadgeNames(), ", "))
}

// phone is a phone of the ward, with the rack it usually stands in.
type phone struct {
	id, class, slot string
	battery         int
}

var phones = []phone{
	{"phone-1", "workflow", "dock-1", 92},
	{"phone-2", "workflow", "rack-2", 81},
	{"phone-3", "convenience", "rack-3", 64},
}

// The readers: two of PC/SC, one at a serial port.
const (
	door    = "door"
	dock    = "dock-1"
	medRoom = "med-room"
)

const (
	boxName = "demo-box"
	site    = "demo"
	wardID  = "5b"
	pool    = "ward-phones"
)

// document is the ward's policy. hashes are those of each person's badge, by the badge's name.
func document(hashes map[string][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The demo ward's policy, loaded when it was first started. Everybody in it is invented.\n"+
		"version = 1\nsite = %q\n\n[[ward]]\nid = %q\nname = \"Ward 5B (demo)\"\n", site, wardID)
	for _, r := range []struct{ id, slot string }{{door, ""}, {dock, dock}, {medRoom, ""}} {
		fmt.Fprintf(&b, "\n[[reader]]\nid = %q\nward = %q\npool = %q\n", r.id, wardID, pool)
		if r.slot != "" {
			fmt.Fprintf(&b, "slot = %q\n", r.slot)
		}
	}
	for _, p := range staff {
		fmt.Fprintf(&b, "\n[[clinician]]\nid = %q\nname = %q\nrole = %q\nwards = [%q]\nbadges = [%s]\n",
			p.id, p.name, p.role, wardID, quoted(hashes[p.badge]))
		if p.more != "" {
			fmt.Fprintln(&b, p.more)
		}
	}
	return b.String()
}

func quoted(words []string) string {
	var q []string
	for _, w := range words {
		q = append(q, fmt.Sprintf("%q", w))
	}
	return strings.Join(q, ", ")
}

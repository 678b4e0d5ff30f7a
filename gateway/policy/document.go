package policy

import (
	"fmt"
	"io"
	"log/slog"

	"tapward/gateway"
)

// MaxDocument bounds a document, in bytes.
const MaxDocument = 4 << 20

// Document is a policy with its roster, as parsed. It names people, so it prints as its version and site only.
type Document struct {
	Version    uint64 // rises with every document; 1 or more
	Site       string
	Wards      []Ward // at least one
	Classes    map[gateway.Class]Class
	Actions    map[Action]Requirement
	Readers    []Reader
	Clinicians []gateway.Clinician

	digest gateway.Digest
}

// Ward is a ward of the site.
type Ward struct {
	ID   string
	Name string // as the station's page is headed
}

// Reader is a reader's place, on one ward.
type Reader struct {
	Ward string
	gateway.Place
}

// Class is what holds for every phone of a device class.
type Class struct {
	Terms gateway.Terms
	Needs Requirement
}

// Requirement is the least a tap must prove and the roles it is open to.
type Requirement struct {
	Least gateway.Assurance
	Roles []string // empty: every role
}

// Digest is SHA-256 over the exact bytes of the document: what both departments will have signed.
func (d Document) Digest() gateway.Digest { return d.digest }

// Signed says that the security and the clinical lead have both signed these bytes. A document alone carries no
// signature, so it is an unsigned demo policy.
func (d Document) Signed() bool { return false }

// Ward finds a ward of the site.
func (d Document) Ward(id string) (Ward, bool) {
	for _, w := range d.Wards {
		if w.ID == id {
			return w, true
		}
	}
	return Ward{}, false
}

func (d Document) title() string {
	if d.Version == 0 {
		return "no policy"
	}
	return fmt.Sprintf("policy version %d of site %s", d.Version, d.Site)
}

// Format, LogValue and MarshalText keep the roster out of every print, log and encoding.
func (d Document) Format(f fmt.State, _ rune)   { io.WriteString(f, d.title()) }
func (d Document) LogValue() slog.Value         { return slog.StringValue(d.title()) }
func (d Document) MarshalText() ([]byte, error) { return []byte(d.title()), nil }

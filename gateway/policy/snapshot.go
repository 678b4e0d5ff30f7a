package policy

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"tapward/gateway"
)

// Snapshot is a policy as it holds on one ward, with what the hospital has revoked. It never changes, so any number of
// goroutines may ask it. The zero Snapshot is a box without a policy: it knows nobody and denies everything.
type Snapshot struct {
	in      *content
	revoked *revoked // nil: nothing
}

type content struct {
	version uint64
	site    string
	digest  gateway.Digest
	signed  bool
	ward    Ward
	key     gateway.BadgeKey
	classes map[gateway.Class]Class
	actions map[Action]Requirement
	places  map[gateway.ReaderID]gateway.Place
	people  map[gateway.ClinicianID]*gateway.Clinician // the whole roster, so that a wrong ward can be told from a stranger
	badges  map[gateway.BadgeHash]*gateway.Clinician
}

// New makes the snapshot of one ward from a document that Parse returned. key is the one the roster's badges were hashed
// with. A ward that the document does not have gets the zero Snapshot: the document is no policy there.
func New(doc Document, ward string, key gateway.BadgeKey) Snapshot {
	here, ok := doc.Ward(ward)
	if !ok {
		return Snapshot{}
	}
	in := &content{
		version: doc.Version,
		site:    doc.Site,
		digest:  doc.Digest(),
		signed:  doc.Signed(),
		ward:    here,
		key:     key,
		classes: make(map[gateway.Class]Class, len(doc.Classes)),
		actions: make(map[Action]Requirement, len(doc.Actions)),
		places:  make(map[gateway.ReaderID]gateway.Place),
		people:  make(map[gateway.ClinicianID]*gateway.Clinician, len(doc.Clinicians)),
		badges:  make(map[gateway.BadgeHash]*gateway.Clinician, len(doc.Clinicians)),
	}
	for name, class := range doc.Classes {
		class.Needs = class.Needs.clone()
		in.classes[name] = class
	}
	for name, need := range doc.Actions {
		in.actions[name] = need.clone()
	}
	for _, r := range doc.Readers {
		if r.Ward == ward {
			in.places[r.Reader] = r.Place
		}
	}
	for _, c := range doc.Clinicians {
		who := clone(c)
		in.people[who.ID] = &who
		for _, b := range who.Badges {
			in.badges[b] = &who
		}
	}
	return Snapshot{in: in}
}

// Identify finds whose badge it is, on any ward of the site; Revoked where the person or this badge was. The comparison
// is of keyed hashes, so its timing says
// nothing about the numbers that are on the roster.
func (s Snapshot) Identify(c gateway.Credential) (gateway.Clinician, bool) {
	if s.in == nil || c.IsZero() {
		return gateway.Clinician{}, false
	}
	hash := c.Hash(s.in.key)
	found, ok := s.in.badges[hash]
	if !ok {
		return gateway.Clinician{}, false
	}
	who := clone(*found)
	who.Revoked = who.Revoked || s.revoked.person(who.ID) || s.revoked.badge(hash)
	return who, true
}

// Barred is who could act under previous and may not at the given time: revoked, removed, moved to another ward, or
// expired. Given the same snapshot twice it is who has expired. Ordered by id; their sessions are to end.
func (s Snapshot) Barred(previous Snapshot, at time.Time) []gateway.ClinicianID {
	var out []gateway.ClinicianID
	if previous.in == nil {
		return nil
	}
	for id, before := range previous.in.people {
		if !previous.acts(before) {
			continue
		}
		if s.in != nil {
			if now, ok := s.in.people[id]; ok && s.acts(now) && !expired(now, at) {
				continue
			}
		}
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// acts says that nothing but time can bar a person from this ward.
func (s Snapshot) acts(who *gateway.Clinician) bool {
	return !who.Revoked && !s.revoked.person(who.ID) && slices.Contains(who.Wards, s.in.ward.ID)
}

// Terms are the bounds of a session on a phone of the class. Without a policy they are the defaults, for sessions that
// have yet to end; an unknown class gets the shortest life.
func (s Snapshot) Terms(class gateway.Class) gateway.Terms {
	if s.in != nil {
		if c, ok := s.in.classes[class]; ok {
			return c.Terms
		}
		return s.in.classes[gateway.Privileged].Terms
	}
	if t, ok := defaultTerms[class]; ok {
		return t
	}
	return defaultTerms[gateway.Privileged]
}

// Place is what a reader of this ward stands for.
func (s Snapshot) Place(reader gateway.ReaderID) (gateway.Place, bool) {
	if s.in == nil {
		return gateway.Place{}, false
	}
	p, ok := s.in.places[reader]
	return p, ok
}

// Name is the name to show for a person; empty where the roster does not have them.
func (s Snapshot) Name(id gateway.ClinicianID) string {
	if s.in == nil {
		return ""
	}
	if who, ok := s.in.people[id]; ok {
		return who.Name
	}
	return ""
}

// Loaded says that there is a policy.
func (s Snapshot) Loaded() bool { return s.in != nil }

// Signed says that both departments signed it.
func (s Snapshot) Signed() bool { return s.in != nil && s.in.signed }

// Version is the document's; zero without a policy.
func (s Snapshot) Version() uint64 {
	if s.in == nil {
		return 0
	}
	return s.in.version
}

// Digest is the document's; zero without a policy.
func (s Snapshot) Digest() gateway.Digest {
	if s.in == nil {
		return gateway.Digest{}
	}
	return s.in.digest
}

// Ward is the ward this snapshot is of; zero without a policy.
func (s Snapshot) Ward() Ward {
	if s.in == nil {
		return Ward{}
	}
	return s.in.ward
}

// Format, LogValue and MarshalText keep roster and key out of every print, log and encoding.
func (s Snapshot) Format(f fmt.State, _ rune)   { io.WriteString(f, s.title()) }
func (s Snapshot) LogValue() slog.Value         { return slog.StringValue(s.title()) }
func (s Snapshot) MarshalText() ([]byte, error) { return []byte(s.title()), nil }

func (s Snapshot) title() string {
	if s.in == nil {
		return "no policy"
	}
	return fmt.Sprintf("policy version %d of site %s for ward %s", s.in.version, s.in.site, s.in.ward.ID)
}

func clone(c gateway.Clinician) gateway.Clinician {
	c.Wards, c.Badges = slices.Clone(c.Wards), slices.Clone(c.Badges)
	return c
}

func (r Requirement) clone() Requirement {
	r.Roles = slices.Clone(r.Roles)
	return r
}

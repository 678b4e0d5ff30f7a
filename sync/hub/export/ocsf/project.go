package ocsf

import (
	"encoding/json"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/export"
)

// Version is that of the schema.
const Version = "1.5.0"

// The classes used here. The hundreds are its category.
const (
	baseEvent        = 0
	authentication   = 3002
	entityManagement = 3004
	lifecycle        = 6002
)

// other is the activity of every class for what it has no number for; its name says which.
const other = 99

// activity is a class and one of its activities.
type activity struct {
	class, id int
	name      string
}

// Project gives the event of a record. Every record has one, also of a kind that this release does not know.
func Project(r export.Record) Event {
	rec, m := r.Leaf.Entry.Record, r.Meaning()
	a := activityOf(r, m)
	e := Event{
		ActivityID: a.id, ActivityName: a.name, CategoryUID: a.class / 1000, ClassUID: a.class, TypeUID: a.class*100 + a.id,
		SeverityID: severity(m), StatusID: status(m), StatusDetail: r.Reasons(),
		Time: r.Happened().UnixMilli(), Message: r.Kind(),
		Metadata: Metadata{
			Version: Version, UID: r.ID(), LogName: "tapward", Product: product, Profiles: []string{"host"}, Sequence: r.Leaf.Index,
			LoggedTime: r.Leaf.Entry.At.UnixMilli(), Correlation: r.Custody(),
		},
		Device:   Device{r.Address.String(), r.Box(), other, "Ward box"},
		Unmapped: unmapped(r),
	}
	if len(rec.Reasons) > 0 {
		e.StatusCode = export.Line(string(rec.Reasons[0]))
	}
	if session := r.Session(); session != "" {
		e.Session = &Session{session}
	}
	if who := export.Line(rec.Operator); who != "" {
		e.Actor = &Actor{&User{who, 1, r.System("operator")}}
	}
	fill(&e, r)
	return e
}

var product = Product{Name: "Tapward", Vendor: "Tapward"}

// fill adds what the class demands.
func fill(e *Event, r export.Record) {
	rec := r.Leaf.Entry.Record
	phone := export.Line(string(rec.Phone))
	switch e.ClassUID {
	case authentication:
		e.User = user(r)
		e.Service = &Service{"Tapward", r.Address.String()}
		if phone != "" {
			e.Endpoint = &Endpoint{phone, phone, 5, "Mobile"}
		}
	case entityManagement:
		e.Entity = entity(r, phone)
	case lifecycle:
		e.App = &Product{Name: product.Name, Vendor: product.Vendor, UID: r.Address.String()}
	}
}

// entity is what was managed: the phone, the policy, the list of revocations, or the box itself.
func entity(r export.Record, phone string) *Entity {
	switch kind := r.Leaf.Entry.Record.Kind; {
	case phone != "":
		return &Entity{phone, phone, "Phone"}
	case kind == gateway.PolicyLoaded:
		return &Entity{"policy", r.Policy(), "Policy"}
	case kind == gateway.RevokedLoaded:
		return &Entity{"revocations", r.Address.Site, "Revocations"}
	}
	return &Entity{r.Box(), r.Address.String(), "Ward box"}
}

// user is whose session it is. A card that nobody knows, and a person who was erased, is "unknown"; where it is about the
// phone itself, that is the user, as a system.
func user(r export.Record) *User {
	rec := r.Leaf.Entry.Record
	if who := export.Line(string(rec.Clinician)); who != "" {
		return &User{who, 1, r.System("clinician")}
	}
	if who := export.Line(rec.Operator); who != "" {
		return &User{who, 1, r.System("operator")}
	}
	if phone := export.Line(string(rec.Phone)); phone != "" && rec.Kind == gateway.PhoneRefused {
		return &User{phone, 3, r.System("phone")}
	}
	return &User{UID: "unknown"}
}

// entityActs are the numbers of Entity Management.
var entityActs = map[string]activity{
	"C": {entityManagement, 1, "Create"}, "U": {entityManagement, 3, "Update"}, "D": {entityManagement, 4, "Delete"},
}

func activityOf(r export.Record, m export.Meaning) activity {
	kind := r.Leaf.Entry.Record.Kind
	own := func(class int) activity { return activity{class, other, r.Kind()} }
	switch kind {
	case gateway.PhoneForeign, gateway.PhoneInconsistent:
		return own(entityManagement)
	case gateway.ReaderChanged, gateway.StorageChanged, gateway.ClockChanged, audit.EpochOpened:
		return own(lifecycle)
	}
	switch {
	case m.Subtype == export.Login, m.Subtype == export.NodeAuth:
		return activity{authentication, 1, "Logon"}
	case m.Subtype == export.Logout:
		return activity{authentication, 2, "Logoff"}
	case m.Type == export.UserAuth:
		return own(authentication)
	case m.Subtype == export.Configuration, m.Subtype == export.Attributes, m.Subtype == export.Restricted:
		if a, ok := entityActs[m.Action]; ok {
			return a
		}
		return own(entityManagement)
	case m.Subtype == export.Start:
		return activity{lifecycle, 3, "Start"}
	case m.Subtype == export.Stop:
		return activity{lifecycle, 4, "Stop"}
	}
	return own(baseEvent)
}

// severity is informational, low, medium or high.
func severity(m export.Meaning) int {
	switch {
	case m.Outcome == export.Major:
		return 4
	case m.Outcome == export.Serious && m.Type == export.SecurityAlert:
		return 4
	case m.Outcome == export.Serious:
		return 3
	case m.Outcome == export.Minor:
		return 2
	}
	return 1
}

// status is success or failure.
func status(m export.Meaning) int {
	if m.Outcome == export.Success {
		return 1
	}
	return 2
}

func unmapped(r export.Record) Unmapped {
	e, rec := r.Leaf.Entry, r.Leaf.Entry.Record
	u := Unmapped{
		Record: r.Name(), Kind: r.Kind(), State: export.Line(rec.State), Reader: r.Reader(), Custody: r.Custody(),
		Fence: uint64(rec.Fence), Previous: export.Line(string(rec.Previous)), Policy: r.Policy(), Clock: export.Line(string(e.Clock)),
		Boot: e.Boot, Source: export.Line(string(rec.Origin)),
	}
	for _, reason := range rec.Reasons {
		if code := export.Line(string(reason)); code != "" {
			u.Reasons = append(u.Reasons, code)
		}
	}
	if rec.Assurance != (gateway.Assurance{}) {
		u.Card, u.Holder = rec.Assurance.Card.String(), rec.Assurance.Holder.String()
	}
	for _, f := range r.Forgotten {
		u.Forgotten = append(u.Forgotten, string(f))
	}
	return u
}

// Lines writes events as newline-delimited JSON.
type Lines struct{}

// Begin is empty.
func (Lines) Begin() []byte { return nil }

// Append adds one line.
func (Lines) Append(to []byte, r export.Record) ([]byte, error) {
	line, err := json.Marshal(Project(r))
	return append(append(to, line...), '\n'), err
}

// array is events as one JSON array.
func array(records []export.Record) ([]byte, error) {
	events := make([]Event, len(records))
	for i, r := range records {
		events[i] = Project(r)
	}
	return json.Marshal(events)
}

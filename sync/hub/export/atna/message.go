package atna

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"

	"tapward/sync/hub/export"
)

// Message is the part of an AuditMessage that is used here, with the elements in the order of the schema.
type Message struct {
	XMLName      xml.Name      `xml:"AuditMessage"`
	Event        Event         `xml:"EventIdentification"`
	Participants []Participant `xml:"ActiveParticipant"`
	Source       Source        `xml:"AuditSourceIdentification"`
	Objects      []Object      `xml:"ParticipantObjectIdentification"`
}

// Event is what happened.
type Event struct {
	Action  string `xml:"EventActionCode,attr"`
	At      string `xml:"EventDateTime,attr"`
	Outcome int    `xml:"EventOutcomeIndicator,attr"`
	ID      Code   `xml:"EventID"`
	Types   []Code `xml:"EventTypeCode"`
	Words   string `xml:"EventOutcomeDescription,omitempty"`
}

// Code is a coded value.
type Code struct {
	Code   string `xml:"csd-code,attr"`
	System string `xml:"codeSystemName,attr"`
	Text   string `xml:"originalText,attr"`
}

// Participant is who or what took part.
type Participant struct {
	ID        string `xml:"UserID,attr"`
	Requestor bool   `xml:"UserIsRequestor,attr"`
	Role      *Code  `xml:"RoleIDCode"`
}

// Source is who recorded it.
type Source struct {
	Site string     `xml:"AuditEnterpriseSiteID,attr"`
	ID   string     `xml:"AuditSourceID,attr"`
	Type SourceType `xml:"AuditSourceTypeCode"`
}

// SourceType is a code of DICOM's own list, which needs no system.
type SourceType struct {
	Code string `xml:"csd-code,attr"`
}

// Object is what it was about.
type Object struct {
	ID      string   `xml:"ParticipantObjectID,attr"`
	Type    int      `xml:"ParticipantObjectTypeCode,attr"`
	Role    int      `xml:"ParticipantObjectTypeCodeRole,attr"`
	Kind    Code     `xml:"ParticipantObjectIDTypeCode"`
	Name    string   `xml:"ParticipantObjectName"`
	Details []Detail `xml:"ParticipantObjectDetail"`
}

// Detail is one more word; Value is in base64.
type Detail struct {
	Type  string `xml:"type,attr"`
	Value string `xml:"value,attr"`
}

// own is the scheme of Tapward's codes; DICOM leaves what begins with 99 to everybody.
const own = "99TAPWARD"

var (
	application = &Code{"110150", "DCM", "Application"}
	holder      = &Code{"holder", own, "holder of the phone"}
	previous    = &Code{"previous-holder", own, "holder before"}
	operator    = &Code{"operator", own, "operator"}
)

// The codes of an object: a system's own, and a security resource.
const (
	systemObject = 2
	security     = 13
	appServer    = "4"
)

// Project gives the message of a record. Every record has one, also of a kind that this release does not know.
func Project(r export.Record) Message {
	m := r.Meaning()
	types := []Code{{r.Kind(), own, r.Kind()}}
	if m.Subtype != (export.Code{}) {
		types = append([]Code{dicom(m.Subtype)}, types...)
	}
	return Message{
		Event: Event{
			Action: m.Action, At: r.Happened().UTC().Format("2006-01-02T15:04:05.000Z"), Outcome: int(m.Outcome),
			ID: dicom(m.Type), Types: types, Words: r.Reasons(),
		},
		Participants: participants(r),
		Source:       Source{r.Address.Site, r.Box(), SourceType{appServer}},
		Objects:      []Object{object(r)},
	}
}

func dicom(c export.Code) Code { return Code{c.Value, "DCM", c.Text} }

// participants are the person, the phone and the box, of which one asked for it.
func participants(r export.Record) (all []Participant) {
	rec := r.Leaf.Entry.Record
	asked := r.ByBox()
	add := func(id string, role *Code, may bool) {
		if id = export.Line(id); id != "" {
			all = append(all, Participant{id, may && !asked, role})
			asked = asked || may
		}
	}
	add(rec.Operator, operator, true)
	add(string(rec.Clinician), holder, true)
	add(string(rec.Previous), previous, false)
	add(string(rec.Phone), application, false)
	someone := false
	for _, p := range all {
		someone = someone || p.Requestor
	}
	return append(all, Participant{r.Box(), !someone, application})
}

// object is the record itself, with what else it says.
func object(r export.Record) Object {
	o := Object{ID: r.ID(), Type: systemObject, Role: security, Kind: Code{"record", own, "audit record"}, Name: r.Name()}
	add := func(what, value string) {
		if value = export.Line(value); value != "" {
			o.Details = append(o.Details, Detail{what, base64.StdEncoding.EncodeToString([]byte(value))})
		}
	}
	e, rec := r.Leaf.Entry, r.Leaf.Entry.Record
	add("state", rec.State)
	add("clock", string(e.Clock))
	add("reader", r.Reader())
	add("custody", r.Custody())
	add("grant", r.Session())
	add("policy", r.Policy())
	if rec.Fence != 0 {
		add("fence", fmt.Sprint(rec.Fence))
	}
	return o
}

package fhir

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/export"
)

// The code systems of FHIR and IHE.
const (
	dcm        = "http://dicom.nema.org/resources/ontology/DCM"
	entityType = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	entityRole = "http://terminology.hl7.org/CodeSystem/object-role"
	sourceType = "http://terminology.hl7.org/CodeSystem/security-source-type"
	// userAgent is IHE BALP's, of its slice for the user of an access token.
	userAgent = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
)

// Tapward's own code systems: the kinds of docs/audit.md, and the part of an agent that no code of FHIR tells.
const (
	Kinds = "urn:tapward:record-kind"
	Roles = "urn:tapward:agent-role"
)

var (
	application    = &Concept{[]Coding{{dcm, "110150", "Application"}}}
	userOfToken    = &Concept{[]Coding{{userAgent, "UserOauthAgent", ""}}}
	other          = Coding{entityType, "4", "Other"}
	securityRole   = &Coding{entityRole, "13", "Security Resource"}
	appServer      = []Coding{{sourceType, "4", "Application Server"}}
	previousHolder = []Concept{{[]Coding{{Roles, "previous-holder", ""}}}}
	holder         = []Concept{{[]Coding{{Roles, "holder", ""}}}}
	operator       = []Concept{{[]Coding{{Roles, "operator", ""}}}}
	phone          = []Concept{{[]Coding{{Roles, "phone", ""}}}}
	box            = []Concept{{[]Coding{{Roles, "box", ""}}}}
)

// Event projects a record. Every record has one, also of a kind that this release does not know.
func Event(r export.Record) AuditEvent {
	m := r.Meaning()
	e := AuditEvent{
		ResourceType: "AuditEvent", ID: r.ID(),
		Type: dicom(m.Type), Subtype: subtypes(r, m), Action: m.Action,
		Recorded: instant(r.Leaf.Entry.At), Outcome: strconv.Itoa(int(m.Outcome)), OutcomeDesc: r.Reasons(),
		Agent:  agents(r),
		Source: Source{r.Address.Site, *named(r, "box", r.Box()), appServer},
		Entity: entities(r),
	}
	if at := r.Leaf.Entry.Record.At; !at.IsZero() {
		e.Period = &Period{instant(at)}
	}
	return e
}

func dicom(c export.Code) Coding { return Coding{dcm, c.Value, c.Text} }

func subtypes(r export.Record, m export.Meaning) []Coding {
	own := Coding{Kinds, r.Kind(), ""}
	if m.Subtype == (export.Code{}) {
		return []Coding{own}
	}
	return []Coding{dicom(m.Subtype), own}
}

// instant is a FHIR instant. A box's clock may stand at any time.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func named(r export.Record, of, value string) *Reference {
	return &Reference{Identifier{r.System(of), value}}
}

// agents are the person, the phone and the box. Exactly one asked for it. Where a person did within a session, the agent
// says which one, as BALP's slice for the user of an access token does: the session's signed grant is what the phone
// acts on. There is no claim of that profile as a whole.
func agents(r export.Record) (all []Agent) {
	rec := r.Leaf.Entry.Record
	byBox := r.ByBox()
	var at *Reference
	if reader := r.Reader(); reader != "" {
		at = named(r, "reader", reader)
	}
	if who, known := export.Line(string(rec.Operator)), asked(r, audit.Operator); known {
		all = append(all, Agent{Role: operator, Who: someone(r, "operator", who), Requestor: !byBox})
	}
	if who, known := export.Line(string(rec.Clinician)), asked(r, audit.Clinician); known {
		a := Agent{Role: holder, Who: someone(r, "clinician", who), Requestor: !byBox && len(all) == 0, Location: at}
		if session := r.Session(); session != "" && a.Requestor {
			a.Type, a.Policy = userOfToken, []string{"urn:ietf:params:oauth:jti:" + session}
		}
		all = append(all, a)
	}
	if who, known := export.Line(string(rec.Previous)), asked(r, audit.Previous); known {
		all = append(all, Agent{Role: previousHolder, Who: someone(r, "clinician", who)})
	}
	if id := export.Line(string(rec.Phone)); id != "" {
		all = append(all, Agent{Type: application, Role: phone, Who: named(r, "phone", id)})
	}
	asking := true
	for _, a := range all {
		asking = asking && !a.Requestor
	}
	return append(all, Agent{Type: application, Role: box, Who: named(r, "box", r.Box()), Requestor: asking})
}

// asked says that the record names somebody in a field, or did before it was erased.
func asked(r export.Record, f audit.Field) bool {
	_, committed := r.Leaf.Commitments[f]
	return committed
}

// someone is a person; nil where the name was erased.
func someone(r export.Record, of, value string) *Reference {
	if value == "" {
		return nil
	}
	return named(r, of, value)
}

// entities are the record itself, with all that it says beyond FHIR's own words, the passage of the phone that it belongs
// to, and the policy that it followed.
func entities(r export.Record) []Entity {
	all := []Entity{{What: Reference{Identifier{"urn:tapward:record", r.Name()}}, Type: other, Role: securityRole, Detail: details(r)}}
	if custody := r.Custody(); custody != "" {
		all = append(all, Entity{What: *named(r, "custody", custody), Type: other})
	}
	if policy := r.Policy(); policy != "" {
		all = append(all, Entity{What: *named(r, "policy", policy), Type: other, Role: securityRole})
	}
	return all
}

func details(r export.Record) (all []Detail) {
	add := func(what, value string) {
		if value = export.Line(value); value != "" {
			all = append(all, Detail{what, value})
		}
	}
	e, rec := r.Leaf.Entry, r.Leaf.Entry.Record
	add("state", rec.State)
	add("clock", string(e.Clock))
	add("boot", fmt.Sprint(e.Boot))
	add("uptime-s", strconv.FormatFloat(e.Uptime.Seconds(), 'f', 3, 64))
	add("source", string(rec.Origin))
	if rec.Fence != 0 {
		add("fence", fmt.Sprint(rec.Fence))
	}
	add("grant", r.Session())
	if rec.Assurance != (gateway.Assurance{}) {
		add("card-proof", rec.Assurance.Card.String())
		add("holder-check", rec.Assurance.Holder.String())
	}
	add("policy-signed", strconv.FormatBool(e.PolicySigned))
	if len(r.Forgotten) > 0 {
		fields := make([]string, len(r.Forgotten))
		for i, f := range r.Forgotten {
			fields[i] = string(f)
		}
		add("forgotten", strings.Join(fields, " "))
	}
	return all
}

// Lines writes AuditEvents as newline-delimited JSON.
type Lines struct{}

// Begin is empty.
func (Lines) Begin() []byte { return nil }

// Append adds one line.
func (Lines) Append(to []byte, r export.Record) ([]byte, error) {
	line, err := json.Marshal(Event(r))
	return append(append(to, line...), '\n'), err
}

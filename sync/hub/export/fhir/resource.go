package fhir

// AuditEvent is the part of the FHIR R4 resource that is used here.
type AuditEvent struct {
	ResourceType string   `json:"resourceType"`
	ID           string   `json:"id,omitempty"`
	Type         Coding   `json:"type"`
	Subtype      []Coding `json:"subtype"`
	Action       string   `json:"action"`
	Period       *Period  `json:"period,omitempty"`
	Recorded     string   `json:"recorded"`
	Outcome      string   `json:"outcome"`
	OutcomeDesc  string   `json:"outcomeDesc,omitempty"`
	Agent        []Agent  `json:"agent"`
	Source       Source   `json:"source"`
	Entity       []Entity `json:"entity"`
}

// Coding is a code of a system.
type Coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

// Concept is a CodeableConcept.
type Concept struct {
	Coding []Coding `json:"coding"`
}

// Period is when it happened, where that is not when it was recorded.
type Period struct {
	Start string `json:"start"`
}

// Identifier is a number that is unique in a system.
type Identifier struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

// Reference names something by an identifier, without saying that the repository holds it.
type Reference struct {
	Identifier Identifier `json:"identifier"`
}

// Agent is who or what took part.
type Agent struct {
	Type      *Concept   `json:"type,omitempty"`
	Role      []Concept  `json:"role,omitempty"`
	Who       *Reference `json:"who,omitempty"`
	Requestor bool       `json:"requestor"`
	Location  *Reference `json:"location,omitempty"`
	Policy    []string   `json:"policy,omitempty"`
}

// Source is who recorded it.
type Source struct {
	Site     string    `json:"site"`
	Observer Reference `json:"observer"`
	Type     []Coding  `json:"type"`
}

// Entity is what it was about.
type Entity struct {
	What   Reference `json:"what"`
	Type   Coding    `json:"type"`
	Role   *Coding   `json:"role,omitempty"`
	Detail []Detail  `json:"detail,omitempty"`
}

// Detail is one more word about an entity.
type Detail struct {
	Type  string `json:"type"`
	Value string `json:"valueString"`
}

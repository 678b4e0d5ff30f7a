package export

import (
	"slices"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// Code is a code of DICOM's audit vocabulary (PS3.16, system DCM), which FHIR and ATNA share.
type Code struct{ Value, Text string }

// The event types used here.
var (
	Application   = Code{"110100", "Application Activity"}
	SecurityAlert = Code{"110113", "Security Alert"}
	UserAuth      = Code{"110114", "User Authentication"}
)

// The subtypes used here.
var (
	Start         = Code{"110120", "Application Start"}
	Stop          = Code{"110121", "Application Stop"}
	Login         = Code{"110122", "Login"}
	Logout        = Code{"110123", "Logout"}
	NodeAuth      = Code{"110126", "Node Authentication"}
	Configuration = Code{"110129", "Security Configuration"}
	Hardware      = Code{"110130", "Hardware Configuration"}
	Restricted    = Code{"110132", "Use of Restricted Function"}
	Recording     = Code{"110134", "Audit Recording Started"}
	Attributes    = Code{"110135", "Object Security Attributes Changed"}
)

// Outcome is how it went, in the codes that FHIR and ATNA share.
type Outcome int

const (
	Success Outcome = 0
	Minor   Outcome = 4  // failed; trying again may help
	Serious Outcome = 8  // failed
	Major   Outcome = 12 // failed, and what follows fails too
)

// Meaning is what a record is to the hospital's audit. A format that knows no more says at least this.
type Meaning struct {
	Type    Code
	Subtype Code // zero: none fits; the record's own kind says it
	Action  string
	Outcome Outcome
}

// The actions of FHIR and ATNA.
const (
	execute = "E"
	create  = "C"
	update  = "U"
	remove  = "D"
)

// meanings holds every kind that there is; those of enrolment and releases are the hub's own (sync/hub/enrol,
// sync/hub/release). Only what is a login or a logout says so: whoever counts them counts sessions.
var meanings = map[gateway.RecordKind]Meaning{
	gateway.CheckOutRequested: {UserAuth, Code{}, execute, Success},
	gateway.HandOffRequested:  {UserAuth, Code{}, execute, Success},
	gateway.SessionOpened:     {UserAuth, Login, execute, Success},
	gateway.SessionUsed:       {UserAuth, Code{}, execute, Success},
	gateway.SessionRenewed:    {UserAuth, Code{}, execute, Success},
	gateway.SessionLocked:     {UserAuth, Code{}, execute, Success},
	gateway.SessionResumed:    {UserAuth, Code{}, execute, Success},
	gateway.ReleaseRequested:  {UserAuth, Code{}, execute, Success},
	gateway.SessionCleared:    {UserAuth, Logout, execute, Success},
	gateway.ClearFailure:      {UserAuth, Logout, execute, Serious},
	gateway.BindFailed:        {UserAuth, Login, execute, Serious},
	gateway.CustodyFailed:     {UserAuth, Code{}, execute, Minor},
	gateway.TapRefused:        {UserAuth, Login, execute, Serious},
	gateway.TapNoted:          {UserAuth, Code{}, execute, Success},

	gateway.PhoneQuarantined:  {SecurityAlert, Attributes, update, Success},
	gateway.PhoneFreed:        {SecurityAlert, Attributes, update, Success},
	gateway.PhoneForeign:      {SecurityAlert, Code{}, execute, Minor},
	gateway.PhoneInconsistent: {SecurityAlert, Code{}, execute, Serious},
	gateway.PhoneRefused:      {SecurityAlert, NodeAuth, execute, Serious},
	gateway.PhoneAdded:        {SecurityAlert, Configuration, create, Success},
	gateway.PhoneRemoved:      {SecurityAlert, Configuration, remove, Success},
	gateway.PolicyLoaded:      {SecurityAlert, Configuration, update, Success},
	gateway.RevokedLoaded:     {SecurityAlert, Configuration, update, Success},
	gateway.OperatorActed:     {SecurityAlert, Restricted, execute, Success},
	gateway.OperatorRefused:   {SecurityAlert, Restricted, execute, Minor},
	gateway.ReaderChanged:     {SecurityAlert, Hardware, update, Success},

	gateway.BoxStarted:     {Application, Start, execute, Success},
	gateway.BoxStopped:     {Application, Stop, execute, Success},
	gateway.StorageChanged: {Application, Code{}, execute, Success},
	gateway.ClockChanged:   {Application, Code{}, execute, Success},
	audit.EpochOpened:      {SecurityAlert, Recording, create, Serious},

	"enrol.claimed":        {SecurityAlert, Configuration, execute, Success},
	"enrol.confirmed":      {SecurityAlert, Configuration, execute, Success},
	"enrol.declined":       {SecurityAlert, Configuration, execute, Minor},
	"enrol.wrong-code":     {SecurityAlert, NodeAuth, execute, Serious},
	"enrol.lapsed":         {SecurityAlert, Configuration, execute, Minor},
	"enrol.turned-away":    {SecurityAlert, NodeAuth, execute, Serious},
	"enrol.issued":         {SecurityAlert, Configuration, create, Success},
	"enrol.renewed":        {SecurityAlert, Configuration, update, Success},
	"enrol.renewed-late":   {SecurityAlert, Configuration, update, Success},
	"enrol.renewed-behind": {SecurityAlert, Configuration, update, Minor},
	"enrol.renew-refused":  {SecurityAlert, NodeAuth, execute, Serious},
	"enrol.token-refused":  {SecurityAlert, NodeAuth, execute, Serious},
	"enrol.announced":      {SecurityAlert, Configuration, execute, Success},
	"enrol.revoked":        {SecurityAlert, Configuration, remove, Success},
	"enrol.reinstated":     {SecurityAlert, Configuration, update, Success},
	"enrol.vacated":        {SecurityAlert, Configuration, update, Success},

	"release.policy":      {SecurityAlert, Configuration, update, Success},
	"release.revoked":     {SecurityAlert, Configuration, update, Success},
	"release.compacted":   {SecurityAlert, Configuration, update, Success},
	"release.adopted":     {SecurityAlert, Configuration, update, Success},
	"release.lost":        {SecurityAlert, Configuration, execute, Serious},
	"release.disbelieved": {SecurityAlert, NodeAuth, execute, Serious},

	alarmLifted:   {SecurityAlert, Restricted, execute, Success},
	exportChanged: {SecurityAlert, Configuration, update, Success},
	forgotten:     {SecurityAlert, Attributes, remove, Success},
	outboxChanged: {SecurityAlert, Code{}, execute, Minor},
}

// Kinds of rooms that are not below this one.
const (
	outboxChanged gateway.RecordKind = "outbox.changed"   // the hospital refused the box's log, or asked for it again
	alarmLifted   gateway.RecordKind = "alarm.lifted"     // a person let a log go on that was in quarantine
	exportChanged gateway.RecordKind = "export.changed"   // a person acted on an export
	forgotten     gateway.RecordKind = "person.forgotten" // somebody was erased
)

// Known says that a kind has a meaning of its own. Others are exported all the same.
func Known(kind gateway.RecordKind) bool {
	_, ok := meanings[kind]
	return ok
}

// retry are the reasons of a refusal after which the same tap may succeed.
var retry = []gateway.Reason{
	gateway.StaleTap, gateway.StorageLow, gateway.NoPhoneFree, gateway.PhoneUnfit, gateway.PhoneComing, gateway.PhoneBusy,
	gateway.PhoneGone, gateway.PhoneSilent, gateway.NotEnoughProof,
}

// Meaning is never empty: a kind that this release does not know is an activity of an application, under its own name.
func (r Record) Meaning() Meaning {
	rec := r.Leaf.Entry.Record
	m, ok := meanings[rec.Kind]
	if !ok {
		return Meaning{Application, Code{}, execute, Success}
	}
	switch rec.Kind {
	case gateway.TapRefused, gateway.BindFailed:
		if r.has(retry...) {
			m.Outcome = Minor
		}
	case gateway.ReaderChanged:
		if rec.State != gateway.ReaderUp.String() {
			m.Outcome = Minor
		}
	case gateway.StorageChanged:
		switch rec.State {
		case gateway.StorageNear.String():
			m.Outcome = Minor
		case gateway.StorageNone.String():
			m.Outcome = Major
		}
	case gateway.ClockChanged:
		if rec.State != string(audit.Synchronised) {
			m.Outcome = Minor
		}
	case outboxChanged:
		if rec.State == "refused" {
			m.Outcome = Serious
		}
	}
	return m
}

// ByBox says that the box acted of its own accord, although the record is about somebody's session.
func (r Record) ByBox() bool {
	rec := r.Leaf.Entry.Record
	return rec.Clinician == "" && rec.Operator == "" && !r.forgot(audit.Clinician, audit.Operator) ||
		r.has(gateway.NotPickedUp, gateway.IdleLock, gateway.LeaseEnded, gateway.LimitReached, gateway.PhoneLocked,
			gateway.PhoneRebooted, gateway.Barred, gateway.BoxRestarted, gateway.Stray)
}

func (r Record) forgot(fields ...audit.Field) bool {
	return slices.ContainsFunc(r.Forgotten, func(f audit.Field) bool { return slices.Contains(fields, f) })
}

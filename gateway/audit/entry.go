package audit

import (
	"time"

	"tapward/gateway"
)

// Clock says how far the wall time of a leaf may be believed.
type Clock string

const (
	Synchronised    Clock = "synchronised"
	NotSynchronised Clock = "not-synchronised"
	ClockUnknown    Clock = "unknown"
)

// Entry is one record with what the box itself adds when it commits it.
type Entry struct {
	Record       gateway.Record
	At           time.Time     // wall time of the commit
	Clock        Clock         // empty: unknown
	Boot         uint64        // boot counter of the box
	Uptime       time.Duration // since the machine booted, CLOCK_BOOTTIME; zero: not measured
	Machine      string        // identity of the box, apart from any person
	PolicySigned bool          // false: the unsigned demo policy is in force

	// Of EpochOpened only.
	Prior string // the signed checkpoint that contradicted the log; empty where it was lost
	Held  Head   // what the database did hold of the log before; zero: nothing
}

// EpochOpened is the first leaf of every epoch but a log's first: the box found evidence outside its database of a log
// that the database does not hold. The old epoch is never signed again.
const EpochOpened gateway.RecordKind = "epoch.opened"

// Why an epoch was opened.
const (
	RolledBack     gateway.Reason = "log-rolled-back" // the evidence is larger than the database
	Forked         gateway.Reason = "log-forked"      // the evidence contradicts the database
	EvidenceLost   gateway.Reason = "log-anchor-lost" // the evidence itself is missing or unreadable
	DatabaseIsGone gateway.Reason = "log-database-gone"
)

// Field names a part of a record that names or may name a person. A leaf holds it only as a salted digest.
type Field string

const (
	Clinician Field = "clinician"
	Previous  Field = "previous"
	Operator  Field = "operator"
	Words     Field = "words"
	Receipt   Field = "receipt"
)

// Fields is every Field in the order of its integer key in the leaf, from 1.
var Fields = [...]Field{Clinician, Previous, Operator, Words, Receipt}

// personal is the value of each field of a record, in the order of Fields.
func personal(r *gateway.Record) [len(Fields)]string {
	return [...]string{string(r.Clinician), string(r.Previous), r.Operator, r.Words, r.Receipt}
}

// setPersonal puts an opened value back.
func setPersonal(r *gateway.Record, f Field, value string) {
	switch f {
	case Clinician:
		r.Clinician = gateway.ClinicianID(value)
	case Previous:
		r.Previous = gateway.ClinicianID(value)
	case Operator:
		r.Operator = value
	case Words:
		r.Words = value
	case Receipt:
		r.Receipt = value
	}
}

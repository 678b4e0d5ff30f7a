package gateway

import "time"

// RecordKind says what happened. Each has one meaning for ever: exports and reviews are written against them.
type RecordKind string

const (
	// The passage of a phone.
	CheckOutRequested RecordKind = "checkout.requested" // permitted, a phone was chosen for it
	HandOffRequested  RecordKind = "handoff.requested"  // permitted, the release of the first session goes out
	SessionOpened     RecordKind = "session.opened"     // the phone confirmed the bind
	SessionUsed       RecordKind = "session.used"       // first use: picked up
	SessionRenewed    RecordKind = "session.renewed"
	SessionLocked     RecordKind = "session.locked"
	SessionResumed    RecordKind = "session.resumed"
	ReleaseRequested  RecordKind = "release.requested" // the close of a session or of an unknown outcome goes out
	SessionCleared    RecordKind = "session.cleared"   // the phone confirmed: closed and verified empty
	ClearFailure      RecordKind = "session.clear-failed"
	BindFailed        RecordKind = "bind.failed"        // not confirmed in time, declined, or the phone went away; a release goes out
	CustodyFailed     RecordKind = "custody.failed"     // a check-out or hand-off ended without a phone
	PhoneQuarantined  RecordKind = "phone.quarantined"  // nobody gets it until it has proven it is clear
	PhoneFreed        RecordKind = "phone.freed"        // out of quarantine
	PhoneForeign      RecordKind = "phone.foreign"      // it holds another box's session
	PhoneInconsistent RecordKind = "phone.inconsistent" // its fence went back, or it showed a session ended long ago
	TapRefused        RecordKind = "tap.refused"        // identify or decide said no
	TapNoted          RecordKind = "tap.noted"          // nothing changed: holds a phone already, tap again to return
	PhoneRefused      RecordKind = "phone.refused"      // wrong key, wrong message: the link was closed

	// The box, its readers and its operators.
	BoxStarted      RecordKind = "box.started"
	BoxStopped      RecordKind = "box.stopped"
	ReaderChanged   RecordKind = "reader.changed"
	PolicyLoaded    RecordKind = "policy.loaded"
	RevokedLoaded   RecordKind = "revocations.loaded"
	PhoneAdded      RecordKind = "phone.added"
	PhoneRemoved    RecordKind = "phone.removed"
	OperatorActed   RecordKind = "operator.acted"   // any other operator act, and how it ended
	OperatorRefused RecordKind = "operator.refused" // an operator's act that changed nothing; the reason and the words say why
	StorageChanged  RecordKind = "storage.changed"
	ClockChanged    RecordKind = "clock.changed"
)

// Record is one thing that happened, before it is made a leaf of the audit log. Clinician, Previous, Operator, Words
// and Receipt name or may name people: a leaf holds them only as salted digests with erasable openings.
type Record struct {
	Kind      RecordKind
	At        time.Time // when it happened at the edge; zero: when it was committed
	Reader    ReaderID
	Origin    Origin
	Phone     PhoneID
	Fence     Fence
	Custody   Custody
	Grant     Digest
	Reasons   []Reason
	Assurance Assurance
	Policy    Digest
	State     string // one word: the new state of a reader, the storage or the clock; what an operator did or asked for
	Durations Durations

	Clinician ClinicianID
	Previous  ClinicianID // hand-off: whose session ends
	Operator  string      // who acted on the box, as the operating system or the station knows them
	Words     string      // free text
	Receipt   string      // the phone's signed receipt
}

// Durations are the steps of a tap. The request's record carries read to choose, the confirmation's commit to
// confirmed, a later record first use. Zero: not measured in this record.
type Durations struct {
	Read, Identify, Decide, Choose, Commit, Notify, Confirmed, FirstUse time.Duration
}

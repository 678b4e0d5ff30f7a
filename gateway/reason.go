package gateway

// Reason is a code a machine can read with a sentence a nurse can read. Refusals are values that carry one.
type Reason string

// Sentence is the words shown at the station and on a phone. An unknown code shows itself.
func (r Reason) Sentence() string {
	if s, ok := sentences[r]; ok {
		return s
	}
	return string(r)
}

const (
	// Refused before a phone was chosen.
	UnknownBadge   Reason = "unknown-badge"
	ExpiredBadge   Reason = "expired-badge"
	RevokedBadge   Reason = "revoked-badge"
	WrongWard      Reason = "wrong-ward"
	NotEnoughProof Reason = "not-enough-proof"
	NotPermitted   Reason = "not-permitted"
	NoPolicy       Reason = "no-policy"
	UnknownReader  Reason = "unknown-reader"
	StaleTap       Reason = "stale-tap"
	StorageLow     Reason = "storage-low"

	// About phones.
	NoPhoneFree     Reason = "no-phone-free"
	OtherPhone      Reason = "other-phone"
	PhoneUnfit      Reason = "phone-unfit"
	HoldsPhone      Reason = "holds-phone"
	PhoneComing     Reason = "phone-coming"
	PhoneBusy       Reason = "phone-busy"
	PhoneGone       Reason = "phone-gone"
	PhoneSilent     Reason = "phone-silent"
	PhoneDeclined   Reason = "phone-declined"
	DeviceFailed    Reason = "device-failed"
	PhoneNotCleared Reason = "phone-not-cleared"
	ForeignSession  Reason = "foreign-session"
	FenceWentBack   Reason = "fence-went-back"
	FenceSpent      Reason = "fence-spent"
	NewlyPaired     Reason = "newly-paired"

	// Why a session opened, locked or ended.
	CheckOut      Reason = "check-out"
	HandOff       Reason = "hand-off"
	TakenOver     Reason = "taken-over"
	Resumed       Reason = "resumed"
	ReturnedDock  Reason = "returned-docked"
	ReturnedTap   Reason = "returned-tap"
	TapToReturn   Reason = "tap-to-return"
	NotPickedUp   Reason = "not-picked-up"
	IdleLock      Reason = "idle"
	LeaseEnded    Reason = "lease-ended"
	LimitReached  Reason = "limit-reached"
	PhoneLocked   Reason = "phone-locked"
	PhoneRebooted Reason = "phone-rebooted"
	Barred        Reason = "barred"
	ByOperator    Reason = "by-operator"
	BoxRestarted  Reason = "box-restarted"
	Stray         Reason = "stray-session"
	RevokedPhone  Reason = "revoked-phone"

	// About readers and the box.
	ReaderUnplugged  Reason = "reader-unplugged"
	ReaderRecovered  Reason = "reader-recovered"
	ReaderSlow       Reason = "reader-slow"
	ReaderFailing    Reason = "reader-failing"
	ReaderTaken      Reason = "reader-taken"
	ReaderGarbled    Reason = "reader-garbled"
	StorageExhausted Reason = "storage-exhausted"
	UnsignedPolicy   Reason = "unsigned-demo-policy"

	// Why an operator's act was refused.
	Incomplete   Reason = "incomplete"
	BadPolicy    Reason = "bad-policy"
	UnknownPhone Reason = "unknown-phone"
	OldPolicy    Reason = "old-policy"

	OldRevocations Reason = "old-revocations"
)

var sentences = map[Reason]string{
	UnknownBadge:   "This badge is not known on this ward.",
	ExpiredBadge:   "This badge has expired.",
	RevokedBadge:   "This badge has been blocked.",
	WrongWard:      "This badge is not for this ward.",
	NotEnoughProof: "This badge does not prove enough here.",
	NotPermitted:   "The ward's policy does not permit this.",
	NoPolicy:       "This box has no policy yet. Ask IT to load one.",
	UnknownReader:  "This reader is not part of the ward's set-up.",
	StaleTap:       "That tap waited too long. Please tap again.",
	StorageLow:     "The box's disk is nearly full: no new check-outs. Returns still work. Call IT.",

	NoPhoneFree:     "No phone is free.",
	OtherPhone:      "The phone at this reader is not ready. Take the one that is named.",
	PhoneUnfit:      "The phone at this reader is not ready, and no other is free.",
	HoldsPhone:      "You already hold this phone.",
	PhoneComing:     "Your phone is being prepared.",
	PhoneBusy:       "This phone is changing hands. Please wait a moment.",
	PhoneGone:       "The phone lost its connection.",
	PhoneSilent:     "The phone did not answer in time.",
	PhoneDeclined:   "The phone did not accept the command.",
	DeviceFailed:    "The phone accepted the command but could not carry it out.",
	PhoneNotCleared: "The phone could not be cleared and was taken out of use.",
	ForeignSession:  "The phone is in use on another ward.",
	FenceWentBack:   "The phone's command counter went back. Have it checked.",
	FenceSpent:      "The phone's command counter is at its end. Have it checked.",
	NewlyPaired:     "Newly paired: nobody gets it until it has shown that it is clear.",

	CheckOut:      "Checked out.",
	HandOff:       "Handed over.",
	TakenOver:     "Taken over at the station.",
	Resumed:       "Welcome back.",
	ReturnedDock:  "Returned: docked.",
	ReturnedTap:   "Returned with a second tap.",
	TapToReturn:   "Tap again to return this phone.",
	NotPickedUp:   "Nobody picked the phone up.",
	IdleLock:      "Locked: nobody used the phone.",
	LeaseEnded:    "Locked: the phone has not heard from the box for too long.",
	LimitReached:  "Locked: the session reached its longest life. Tap to start a new one.",
	PhoneLocked:   "Locked by the phone itself.",
	PhoneRebooted: "Locked: the phone was restarted.",
	Barred:        "The person may no longer use phones here.",
	ByOperator:    "Ended by an operator.",
	BoxRestarted:  "The box restarted while this was under way.",
	Stray:         "The phone showed a session that the box had already ended.",
	RevokedPhone:  "The hospital has blocked this phone.",

	ReaderUnplugged:  "The reader is unplugged or its driver has stopped.",
	ReaderRecovered:  "The reader is back.",
	ReaderSlow:       "The reader answers too slowly.",
	ReaderFailing:    "The reader is there but fails to read. Unplug it and plug it in again.",
	ReaderTaken:      "Another program on the box keeps the reader to itself. Call IT.",
	ReaderGarbled:    "The reader sends what cannot be read. Have its cable and settings checked.",
	StorageExhausted: "The box's disk is full.",
	Incomplete:       "Something that is needed was not given.",
	BadPolicy:        "The policy document has mistakes.",
	UnknownPhone:     "No phone of that name is paired with this box.",
	OldPolicy:        "This policy is not newer than the one in force.",
	OldRevocations:   "These revocations are not newer than those in force.",

	UnsignedPolicy: "Unsigned demo policy: not agreed by security and clinical leads.",

	// Of gateway/audit: why a new epoch of the log was opened.
	"log-rolled-back":   "The box's log is shorter than it once was. Call IT: its disk was set back.",
	"log-forked":        "The box's log is not the one it once was. Call security: somebody may have changed it.",
	"log-anchor-lost":   "The proof that the box's log is whole is missing or damaged. Call IT.",
	"log-database-gone": "The box's log is gone and was begun anew. Call IT.",

	// What the hospital finds wrong with the log as it came.
	"log-gapped":      "Records of the box's log have not come to the hospital. Call IT.",
	"log-malformed":   "The hospital cannot read the box's log as it came. Call security: somebody may have changed it.",
	"log-key-unknown": "The hospital does not know the key that signs the box's log. Call IT: the box must be enrolled.",

	// Of sync/claim: why a box is not let in.
	"enrol-malformed":    "The hub could not read what this box sent. Call IT.",
	"enrol-too-many":     "Asked too often. The box asks again by itself later.",
	"enrol-wrong-site":   "This hub is of another site. Check the box's configuration.",
	"enrol-not-expected": "The hub expects no box of this name. Ask whoever announced the boxes.",
	"enrol-wrong-ward":   "The hub expects this box on another ward. Check its configuration.",
	"enrol-bad-keys":     "The keys shown are not those that were announced. The claim has ended.",
	"enrol-key-in-use":   "Another box already has this key. Was a disk copied? Call IT.",
	"enrol-no-claim":     "This claim is unknown or its time is over. The box begins anew.",
	"enrol-declined":     "A person at the hub declined this box.",
	"enrol-code-differs": "The codes differ: somebody may stand between box and hub.",
	"enrol-bad-token":    "The one-time token is spent or of another box.",
	"enrol-bad-request":  "The certificate request is of another key or name.",
	"enrol-bad-identity": "The certificate is none of this hub's boxes.",
	"enrol-expired":      "The certificate has expired. The box renews it by itself.",
	"enrol-revoked":      "The hospital has revoked this box. Call IT.",
	"enrol-not-listed":   "This box is no longer on the hub's list. Call IT.",

	// Of gateway/phone/link: why a phone declines a command.
	"stale-challenge": "The phone refused a command that came too late.",
	"fence-mismatch":  "The phone refused a command that was out of turn.",
	"bad-grant":       "The phone refused a permit that this box did not sign.",
	"wrong-grant":     "The phone refused a permit for another phone or session.",
	"session-present": "The phone still has a session.",
	"no-session":      "The phone no longer has that session.",
	"past-limit":      "The phone's session has reached its longest life.",
}

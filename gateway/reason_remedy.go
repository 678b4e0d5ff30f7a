package gateway

// Remedy is what whoever was refused can do next, in words a nurse can read; empty where the sentence says it already
// or where nothing is to be done. It is said at the station beside the sentence.
func (r Reason) Remedy() string { return remedies[r] }

const tryAgain = "Tap again. If that does not help, take another phone."

var remedies = map[Reason]string{
	UnknownBadge:   "Try your ward badge. If it is that one, ask the charge nurse to have it added.",
	ExpiredBadge:   "Have it renewed where badges are issued.",
	RevokedBadge:   "Ask the charge nurse, or security.",
	WrongWard:      "Ask the charge nurse to have you added to this ward.",
	NotEnoughProof: "Try another reader of the ward, or ask the charge nurse.",
	NotPermitted:   "Ask the charge nurse which phones your role may use.",
	UnknownReader:  "Tap at another reader, and tell IT.",

	NoPhoneFree:     "Put back one that nobody needs, or take one over at the station.",
	PhoneGone:       tryAgain,
	PhoneSilent:     tryAgain,
	PhoneDeclined:   tryAgain,
	DeviceFailed:    tryAgain,
	PhoneNotCleared: "Put it aside for biomedical engineering, and tap again for another.",
	ForeignSession:  "Return it on that ward, or use another phone.",
	PhoneUnfit:      "Put back one that nobody needs, or take one over at the station.",
	Barred:          "Ask the charge nurse.",

	StorageExhausted: "Call IT.",
}

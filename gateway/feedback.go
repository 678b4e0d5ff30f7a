package gateway

// Signal is what a reader's light and buzzer say.
type Signal uint8

const (
	Seen    Signal = iota // badge read, decision pending: amber
	Granted               // the phone has confirmed: green, one beep
	Note                  // nothing changed, the station says why: amber blink
	Refused               // red, three beeps
	Fault                 // something is broken, not the badge: red and amber
)

var signals = [...]string{"seen", "granted", "note", "refused", "fault"}

func (s Signal) String() string               { return name(signals[:], int(s)) }
func (s Signal) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s *Signal) UnmarshalText(text []byte) error {
	return parse(signals[:], "signal", text, s)
}

// Feedback is what the person who tapped is told: by the reader as far as it can, by the station in words.
type Feedback struct {
	Reader ReaderID
	Signal Signal
	Reason Reason
	Phone  PhoneID     // the phone it is about, if any
	Who    ClinicianID // who tapped, if known
}

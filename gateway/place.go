package gateway

// Place says what a reader stands for: the pool its phones come from and, where it is one phone's own reader, that
// phone or the dock slot in front of it.
type Place struct {
	Reader ReaderID
	Pool   string
	Slot   string  // taps here mean the phone docked in this slot
	Phone  PhoneID // taps here mean this phone
}

package gateway

// Act is something an operator does to the box; each becomes an audit leaf that names the operator.
type Act interface{ act() }

// AddPhone pairs a phone whose fingerprint the operator compared on both screens. Adding a known id replaces its
// class, pool and addresses, and its key only while the phone is free.
type AddPhone struct{ Phone Phone }

// RemovePhone forgets a phone that is free or quarantined.
type RemovePhone struct{ Phone PhoneID }

// ReleasePhone ends whatever session the phone has, and is the way out of quarantine.
type ReleasePhone struct{ Phone PhoneID }

// TakeOver arms the station: the next tap at Reader takes Phone over. It lapses after 15 s, a newer one replaces it, and
// an empty Phone disarms.
type TakeOver struct {
	Reader ReaderID
	Phone  PhoneID
}

// LoadPolicy replaces the policy and roster by the given document.
type LoadPolicy struct{ Document []byte }

func (AddPhone) act()     {}
func (RemovePhone) act()  {}
func (ReleasePhone) act() {}
func (TakeOver) act()     {}
func (LoadPolicy) act()   {}

// Refusal is the error of an act that the box will not do as things stand. It changed nothing.
type Refusal struct {
	Reason Reason
	Words  string // for the operator; empty: the reason's sentence
}

func (r *Refusal) Error() string {
	if r.Words != "" {
		return r.Words
	}
	return r.Reason.Sentence()
}

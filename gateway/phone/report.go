package phone

import (
	"net/netip"
	"time"

	"tapward/gateway"
)

// Report is what discovery and the links tell about phones. Only what came over a link is proven; a Sighting is a hint.
type Report interface{ report() }

// Sighting is a phone found over mDNS: an address to try, a fingerprint to expect, nothing more.
type Sighting struct {
	At    time.Time
	Name  string              // the id it advertises, else its instance name; safe to log and show
	Key   gateway.Fingerprint // as advertised; zero where none was
	Addrs []netip.AddrPort
}

// Linked is a phone's verified hello on a new link: where it says, signed, that it stands.
type Linked struct {
	At    time.Time
	Phone gateway.PhoneID
	Truth gateway.Truth
	Held  string // the grant that Truth names, as its box signed it; empty without one. The signature is not verified yet
}

// Unlinked is the end of a phone's link; Why is for the log.
type Unlinked struct {
	At    time.Time
	Phone gateway.PhoneID
	Why   string
}

// Answer is a phone's verified receipt.
type Answer struct {
	At      time.Time
	Receipt gateway.Receipt
}

// Status is what a linked phone says about itself every few seconds.
type Status struct {
	At        time.Time
	Phone     gateway.PhoneID
	Battery   int // per cent; -1 unknown
	Charging  bool
	Healthy   bool
	Slot      string           // the dock slot it stands in; empty: undocked
	PickedUp  bool             // undocked or used since its session was bound
	Left      bool             // it stood outside a dock at some time in its session: now in a slot, it came back
	Presented gateway.ReaderID // the reader it is being presented to right now, if any
	Locked    bool
}

// Stranger is a link that was refused: an unpaired or wrong key, or a message out of order. Phone is set where the key
// was known.
type Stranger struct {
	At      time.Time
	Phone   gateway.PhoneID
	Key     gateway.Fingerprint
	Address string
	Why     string
}

func (Sighting) report() {}
func (Linked) report()   {}
func (Unlinked) report() {}
func (Answer) report()   {}
func (Status) report()   {}
func (Stranger) report() {}

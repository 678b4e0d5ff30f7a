package gateway

// Assurance is what a tap proved, as a pair: about the card and about the person holding it. It is computed from the
// protocol that actually ran, never from the type of card.
type Assurance struct {
	Card   CardProof   `json:"card"`
	Holder HolderCheck `json:"holder"`
}

// CardProof orders what a card can prove, weakest first.
type CardProof uint8

const (
	CardNone    CardProof = iota // no card took part
	CardNumber                   // a number was read; anyone may copy it
	CardMessage                  // a fresh authentic message, which may have been harvested earlier (SUN)
	CardLive                     // a live challenge was answered with the card's key
)

// HolderCheck orders what was checked about the person, weakest first.
type HolderCheck uint8

const (
	HolderNone     HolderCheck = iota // possession only
	HolderPIN                         // a PIN known to us
	HolderVerified                    // the authenticator verified its user
)

// Meets says that a is at least b in both halves.
func (a Assurance) Meets(b Assurance) bool { return a.Card >= b.Card && a.Holder >= b.Holder }

var cardProofs = [...]string{"none", "number", "message", "live"}
var holderChecks = [...]string{"none", "pin", "verified"}

func (p CardProof) String() string   { return name(cardProofs[:], int(p)) }
func (h HolderCheck) String() string { return name(holderChecks[:], int(h)) }

// MarshalText and UnmarshalText use the words of String.
func (p CardProof) MarshalText() ([]byte, error)   { return []byte(p.String()), nil }
func (h HolderCheck) MarshalText() ([]byte, error) { return []byte(h.String()), nil }
func (p *CardProof) UnmarshalText(text []byte) error {
	return parse(cardProofs[:], "card proof", text, p)
}
func (h *HolderCheck) UnmarshalText(text []byte) error {
	return parse(holderChecks[:], "holder check", text, h)
}

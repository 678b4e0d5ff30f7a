package claim

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"tapward/gateway"
)

// MaxMessage bounds the bytes of every message of a claim.
const MaxMessage = 32 << 10

// Where the hub takes the messages: POST with a JSON body, the answer in JSON.
const (
	CommitPath = "/enrol/v1/claims"                  // Commit → Offer
	RevealPath = "/enrol/v1/claims/{id}/reveal"      // Reveal → Answer
	AnswerPath = "/enrol/v1/claims/{id}"             // GET → Answer
	RedeemPath = "/enrol/v1/claims/{id}/certificate" // Redeem → Issued
	RenewPath  = "/enrol/v1/renewals"                // over TLS with the certificate to renew: Redeem without a token → Issued
)

// Commit opens a claim.
type Commit struct {
	Subject
	Ward       string `json:"ward"`
	Commitment []byte `json:"commitment"`
}

// Offer is the hub's reply: its side of the code, and what the newcomer is to trust once the codes agree.
type Offer struct {
	Claim string `json:"claim"` // names the claim in what follows; nobody else knows it
	Nonce []byte `json:"nonce"`
	Hub   Hub    `json:"hub"`
	Lasts int    `json:"lasts"` // seconds until the claim ends by itself
}

// Reveal opens what Commit bound.
type Reveal struct {
	Nonce []byte `json:"nonce"`
	Keys  Keys   `json:"keys"`
	Proof string `json:"proof,omitempty"` // Transcript.SignProof; a phone has none
}

// Answer says how a claim stands. An end other than a token comes as a Refusal.
type Answer struct {
	Token string `json:"token,omitempty"` // a person has confirmed: it buys one certificate for the revealed key
	Again int    `json:"again,omitempty"` // milliseconds until it makes sense to ask again
}

// Redeem asks for a certificate, with a claim's token, or to renew the one that the connection shows.
type Redeem struct {
	Token   string `json:"token,omitempty"`
	Request []byte `json:"request"` // PKCS #10, DER
}

// Issued is a new certificate, and what may have changed at the hub.
type Issued struct {
	Chain [][]byte `json:"chain"` // DER, the newcomer's own first
	Hub   Hub      `json:"hub"`
}

// Parse reads one message. It takes exactly one JSON value without members that it does not know.
func Parse[M Commit | Offer | Reveal | Answer | Redeem | Issued](in []byte) (m M, err error) {
	if err := strict(in, MaxMessage, &m); err != nil {
		return m, fmt.Errorf("read %T: %w", m, err)
	}
	if v, ok := any(m).(interface{ valid() error }); ok {
		if err := v.valid(); err != nil {
			return m, fmt.Errorf("read %T: %w", m, err)
		}
	}
	return m, nil
}

// Encode gives the bytes that Parse takes.
func Encode[M Commit | Offer | Reveal | Answer | Redeem | Issued](m M) ([]byte, error) {
	b, err := json.Marshal(m)
	if err == nil && len(b) > MaxMessage {
		err = fmt.Errorf("%d bytes are more than %d", len(b), MaxMessage)
	}
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	return b, nil
}

func (c Commit) valid() error {
	if len(c.Commitment) != sha256.Size {
		return errors.New("the commitment is not a SHA-256")
	}
	if !gateway.ValidLabel(c.Ward) {
		return fmt.Errorf("ward %q must be %s", c.Ward, gateway.LabelRule)
	}
	return c.Subject.Valid()
}

func (o Offer) valid() error {
	if !claimID(o.Claim) || len(o.Nonce) != NonceSize || o.Lasts <= 0 {
		return errors.New("it lacks its name, its nonce or its time")
	}
	return o.Hub.Valid()
}

func (r Reveal) valid() error {
	if len(r.Nonce) != NonceSize {
		return errors.New("the nonce has the wrong length")
	}
	return nil
}

func (r Redeem) valid() error {
	if len(r.Request) == 0 {
		return errors.New("it holds no request for a certificate")
	}
	return nil
}

func (i Issued) valid() error {
	if len(i.Chain) == 0 {
		return errors.New("it holds no certificate")
	}
	return i.Hub.Valid()
}

// claimID holds a claim's name to what fits an element of a path.
func claimID(s string) bool { return gateway.ValidLabel(s) }

// strict reads exactly one value and knows every member.
func strict(in []byte, limit int, into any) error {
	if len(in) > limit {
		return fmt.Errorf("%d bytes are more than %d", len(in), limit)
	}
	d := json.NewDecoder(bytes.NewReader(in))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind it")
	}
	return nil
}

package claim

import (
	"errors"
	"fmt"

	"tapward/gateway"
)

// Refusal is the error of what the hub will not do, in words for the person who set the box up. It also travels.
type Refusal struct {
	Reason gateway.Reason `json:"refused"`
	Words  string         `json:"words"`
}

func (r *Refusal) Error() string { return r.Words }

// Refuse makes a Refusal.
func Refuse(reason gateway.Reason, format string, args ...any) error {
	return &Refusal{reason, fmt.Sprintf(format, args...)}
}

// RefusalOf is the reason of an error that is a refusal, else empty.
func RefusalOf(err error) gateway.Reason {
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

// ParseRefusal reads what the hub answered in place of a message.
func ParseRefusal(in []byte) (*Refusal, error) {
	var r Refusal
	if err := strict(in, MaxMessage, &r); err != nil {
		return nil, fmt.Errorf("read refusal: %w", err)
	}
	if r.Reason == "" || r.Words == "" {
		return nil, errors.New("read refusal: it says nothing")
	}
	return &r, nil
}

// Why the hub refuses.
const (
	Malformed   gateway.Reason = "enrol-malformed"
	TooMany     gateway.Reason = "enrol-too-many"     // ask again later
	WrongSite   gateway.Reason = "enrol-wrong-site"   // this hub is of another site
	NotExpected gateway.Reason = "enrol-not-expected" // on no list of expected boxes in force
	WrongWard   gateway.Reason = "enrol-wrong-ward"   // expected, elsewhere
	BadKeys     gateway.Reason = "enrol-bad-keys"     // not what was committed to, or no keys of that kind
	KeyInUse    gateway.Reason = "enrol-key-in-use"   // another box has it
	NoClaim     gateway.Reason = "enrol-no-claim"     // unknown, ended, or its time is over
	Declined    gateway.Reason = "enrol-declined"     // a person said no
	CodeDiffers gateway.Reason = "enrol-code-differs"
	BadToken    gateway.Reason = "enrol-bad-token"
	BadRequest  gateway.Reason = "enrol-bad-request" // a certificate request of another key or for another name
	BadIdentity gateway.Reason = "enrol-bad-identity"
	Expired     gateway.Reason = "enrol-expired"
	Revoked     gateway.Reason = "enrol-revoked"
	NotListed   gateway.Reason = "enrol-not-listed" // on the allow list no more, or with another key
)

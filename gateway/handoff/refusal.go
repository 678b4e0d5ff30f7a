package handoff

import (
	"errors"
	"fmt"
	"strings"

	"tapward/gateway"
)

// refuse is what an operator is told about an act that cannot be done as things stand.
func refuse(reason gateway.Reason, words string, args ...any) error {
	return &gateway.Refusal{Reason: reason, Words: fmt.Sprintf(words, args...)}
}

// What an operator sends is bounded before it goes into a leaf.
const (
	maxRefusalWords = 1024
	maxRefusalName  = 64
)

// refusal is the record of an act that was refused: who asked for what, and why not. It changed nothing.
func refusal(operator string, act gateway.Act, why error) gateway.Record {
	r := gateway.Record{Kind: gateway.OperatorRefused, Operator: operator, Words: cut(why.Error(), maxRefusalWords)}
	switch a := act.(type) {
	case gateway.AddPhone:
		r.State, r.Phone = "add-phone", a.Phone.ID
	case gateway.RemovePhone:
		r.State, r.Phone = "remove-phone", a.Phone
	case gateway.ReleasePhone:
		r.State, r.Phone = "release-phone", a.Phone
	case gateway.TakeOver:
		r.State, r.Phone, r.Reader = "take-over", a.Phone, a.Reader
	case gateway.InstallRevocations:
		r.State = "install-revocations"
	case gateway.LoadPolicy:
		r.State, r.Reasons = "load-policy", []gateway.Reason{gateway.BadPolicy}
	}
	r.Phone = gateway.PhoneID(cut(string(r.Phone), maxRefusalName))
	r.Reader = gateway.ReaderID(cut(string(r.Reader), maxRefusalName))
	if known := (*gateway.Refusal)(nil); errors.As(why, &known) {
		r.Reasons = []gateway.Reason{known.Reason}
	}
	return r
}

// cut shortens text to at most n bytes of whole characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}

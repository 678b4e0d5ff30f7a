package policy

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"tapward/gateway"
)

// Action is what a tap asks for.
type Action string

const (
	CheckOut Action = "check-out" // a free phone, or the own one again after it locked
	HandOff  Action = "hand-off"  // a colleague's phone, at its own reader or slot
	TakeOver Action = "take-over" // a colleague's phone, chosen at the station
	CheckIn  Action = "check-in"  // the end of the own session
)

// Actions is every Action.
var Actions = []Action{CheckOut, HandOff, TakeOver, CheckIn}

// Request is one question put to the policy.
type Request struct {
	Clinician gateway.Clinician // as Identify found them; the snapshot's own entry is judged, and that nobody is Revoked
	Known     bool              // as Identify said
	Assurance gateway.Assurance
	Reader    gateway.ReaderID
	Ward      string // where the tap happened
	At        time.Time
	Action    Action
	Class     gateway.Class // of the phone the tap would end at; empty: before a phone was chosen
}

// Format, LogValue and MarshalText keep the person out of every print, log and encoding.
func (r Request) Format(f fmt.State, _ rune)   { io.WriteString(f, r.title()) }
func (r Request) LogValue() slog.Value         { return slog.StringValue(r.title()) }
func (r Request) MarshalText() ([]byte, error) { return []byte(r.title()), nil }

func (r Request) title() string {
	return fmt.Sprintf("%s at reader %s of ward %s", r.Action, r.Reader, r.Ward)
}

// Decision is the answer. A refusal is a value: Reason says why, and Need is what proof was missing where that is why.
type Decision struct {
	Permit bool
	Reason gateway.Reason // empty where permitted
	Need   gateway.Assurance
}

// Decide answers in the order of docs/policy.md, the hard checks (known, revoked, expired) before any rule.
func (s Snapshot) Decide(r Request) Decision {
	if s.in == nil {
		return deny(gateway.NoPolicy)
	}
	who, ok := s.in.people[r.Clinician.ID]
	if !ok || !r.Known {
		return deny(gateway.UnknownBadge)
	}
	if who.Revoked || r.Clinician.Revoked || s.revoked.person(who.ID) {
		return deny(gateway.RevokedBadge)
	}
	if expired(who, r.At) {
		return deny(gateway.ExpiredBadge)
	}
	if r.Ward != s.in.ward.ID || !slices.Contains(who.Wards, r.Ward) {
		return deny(gateway.WrongWard)
	}
	if _, ok := s.in.places[r.Reader]; !ok {
		return deny(gateway.UnknownReader)
	}
	return s.rules(who, r)
}

// rules judges the requirements of the action and, where a phone was chosen, of its class. Both must hold.
func (s Snapshot) rules(who *gateway.Clinician, r Request) Decision {
	need, ok := s.in.actions[r.Action]
	if !ok || r.At.IsZero() || !need.admits(who.Role) {
		return deny(gateway.NotPermitted)
	}
	least := need.Least
	if r.Class != "" {
		class, ok := s.in.classes[r.Class]
		if !ok || !class.Needs.admits(who.Role) {
			return deny(gateway.NotPermitted)
		}
		least = stronger(least, class.Needs.Least)
	}
	if !r.Assurance.Meets(least) {
		return Decision{Reason: gateway.NotEnoughProof, Need: least}
	}
	return Decision{Permit: true}
}

func deny(why gateway.Reason) Decision { return Decision{Reason: why} }

// expired counts the named instant as past. A request without a time cannot be judged against an end, so it is late.
func expired(who *gateway.Clinician, at time.Time) bool {
	return !who.Expires.IsZero() && (at.IsZero() || !at.Before(who.Expires))
}

func (r Requirement) admits(role string) bool {
	return len(r.Roles) == 0 || slices.Contains(r.Roles, role)
}

func stronger(a, b gateway.Assurance) gateway.Assurance {
	return gateway.Assurance{Card: max(a.Card, b.Card), Holder: max(a.Holder, b.Holder)}
}

package gateway

import (
	"log/slog"
	"time"
)

// RevocationTarget is what a revocation takes away from whom.
type RevocationTarget string

const (
	RevokesClinician RevocationTarget = "clinician" // the person, with every badge: sessions end, taps are refused
	RevokesBadge     RevocationTarget = "badge"     // one badge by its keyed hash: taps are refused
	RevokesPhone     RevocationTarget = "phone"     // one phone: it is released and no longer handed out
)

// Revocation is one decision of the hospital to take something away.
type Revocation struct {
	Number uint64           `json:"number"` // 1 is the site's first; every later one is higher
	Target RevocationTarget `json:"target"`
	ID     string           `json:"id"` // clinician id, badge hash in hex, or phone id
	At     time.Time        `json:"at"` // decided
	Reason Reason           `json:"reason"`
}

// LogValue leaves out whose it is.
func (r Revocation) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("number", r.Number), slog.String("target", string(r.Target)))
}

// Revocations are all that still matter, oldest first: who has the newest lacks none. The zero value is of a box that
// has never heard of any.
type Revocations struct {
	Through uint64    // number of the newest one ever given
	Issued  time.Time // when the hub signed them
	Digest  Digest    // SHA-256 of what it signed
	List    []Revocation
}

// WardRevocations is the standing of the revocations in force.
type WardRevocations struct {
	Through uint64    `json:"through"`
	Digest  Digest    `json:"digest"`
	Issued  time.Time `json:"issued,omitzero"`
	Listed  int       `json:"listed"`
}

// InstallRevocations replaces the list by a newer one. It takes away, so it is in force at once even where nothing can be
// written, and is made durable as soon as something can.
type InstallRevocations struct{ Revocations Revocations }

func (InstallRevocations) act() {}

package policy

import (
	"fmt"

	"tapward/gateway"
)

// Succeed is the snapshot that takes s's place on the ward when doc is loaded, whoever loads it: the document must have
// the ward and a version above the one in force. What is revoked stays so. A refusal is a *gateway.Refusal.
func (s Snapshot) Succeed(doc Document, ward string, key gateway.BadgeKey) (Snapshot, error) {
	next := New(doc, ward, key)
	switch {
	case !next.Loaded():
		return s, refuse(gateway.WrongWard, "load policy: it has no ward %q, which is this box's", ward)
	case next.Digest() == s.Digest():
		return s, refuse(gateway.OldPolicy, "load policy: this very policy is in force")
	case next.Version() <= s.Version():
		return s, refuse(gateway.OldPolicy, "load policy: version %d is not above %d, which is in force", next.Version(), s.Version())
	}
	next.revoked = s.revoked
	return next, nil
}

func refuse(reason gateway.Reason, words string, args ...any) error {
	return &gateway.Refusal{Reason: reason, Words: fmt.Sprintf(words, args...)}
}

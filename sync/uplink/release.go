package uplink

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Kind is what a release carries.
type Kind string

const (
	Policy      Kind = "policy"      // a policy document of the site, docs/policy.md
	Roster      Kind = "roster"      // who may act on one ward
	Revocations Kind = "revocations" // the site's cumulative list, Revoked
)

// Kinds is every Kind.
var Kinds = []Kind{Policy, Roster, Revocations}

// ReleaseKey is the key of a kind's newest release in ReleaseBucket. The roster is of a ward, the others of the site.
func ReleaseKey(kind Kind, site, ward string) string {
	if kind == Roster {
		return site + "." + ward + "." + string(kind)
	}
	return site + "." + string(kind)
}

// Release is something that the hospital decided for its boxes. A box takes a release only if its Version is higher than
// that of the one it has, or the same with a later Issued and the same Body.
type Release struct {
	Kind    Kind      `json:"kind"`
	Site    string    `json:"site"`
	Ward    string    `json:"ward,omitempty"` // roster only
	Version uint64    `json:"version"`        // rises by itself for each kind, site and ward
	Issued  time.Time `json:"issued"`         // when the hub signed it; signed anew as a heartbeat
	Body    []byte    `json:"body"`
}

// MaxRelease bounds the bytes of a signed release, so that it fits a message of the broker.
const MaxRelease = 7 << 20

const releaseType = "application/vnd.tapward.release.v1+json"

// SignRelease makes the DSSE envelope that OpenRelease takes.
func SignRelease(r Release, key ed25519.PrivateKey) ([]byte, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("sign release: %w", err)
	}
	signer, err := dsse.NewEnvelopeSigner(releaseKey{public: key.Public().(ed25519.PublicKey), secret: key})
	if err != nil {
		return nil, fmt.Errorf("sign release: %w", err)
	}
	envelope, err := signer.SignPayload(context.Background(), releaseType, payload)
	if err != nil {
		return nil, fmt.Errorf("sign release: %w", err)
	}
	out, err := json.Marshal(envelope)
	if err == nil && len(out) > MaxRelease {
		err = fmt.Errorf("%d bytes are more than %d", len(out), MaxRelease)
	}
	if err != nil {
		return nil, fmt.Errorf("sign release: %w", err)
	}
	return out, nil
}

// OpenRelease checks the signature against the hub's release key and gives what was signed. Whether it is new enough is
// for the caller.
func OpenRelease(in []byte, key ed25519.PublicKey) (Release, error) {
	var envelope dsse.Envelope
	if err := strictJSON(in, MaxRelease, &envelope); err != nil {
		return Release{}, fmt.Errorf("open release: %w", err)
	}
	if envelope.PayloadType != releaseType {
		return Release{}, fmt.Errorf("open release: it is a %q", envelope.PayloadType)
	}
	verifier, err := dsse.NewEnvelopeVerifier(releaseKey{public: key})
	if err != nil {
		return Release{}, fmt.Errorf("open release: %w", err)
	}
	_, payload, err := verifier.VerifyAndDecode(context.Background(), &envelope)
	if err != nil {
		return Release{}, fmt.Errorf("open release: %w", err)
	}
	var r Release
	if err := strictJSON(payload, MaxRelease, &r); err != nil {
		return Release{}, fmt.Errorf("open release: %w", err)
	}
	if !slices.Contains(Kinds, r.Kind) {
		return Release{}, fmt.Errorf("open release: kind %q is unknown here", r.Kind)
	}
	if r.Version == 0 || r.Site == "" || r.Issued.IsZero() || (r.Kind == Roster) != (r.Ward != "") {
		return Release{}, errors.New("open release: it lacks its version, site, ward or time")
	}
	return r, nil
}

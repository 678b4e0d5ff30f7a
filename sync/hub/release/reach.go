package release

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/policy"
	"tapward/sync/uplink"
)

// Reach is how far a revocation has got.
type Reach struct {
	Revocation uplink.Revocation
	Person     string    // who decided it
	Sent       time.Time // when the broker had it for all boxes; zero: not yet
	Dropped    time.Time // when the list went on without it; zero: it is listed
	Boxes      []BoxReach
	Deaf       int // how many boxes do not run it
	// TrustEnds is the latest of the deaf boxes'; zero: none is deaf.
	TrustEnds time.Time
}

// BoxReach is how one box stands to it.
type BoxReach struct {
	Box
	Applied time.Time     // when the hub first heard that the box runs it; zero: the box is deaf
	Took    time.Duration // from the decision to Applied
	Version uint64        // of the revocations that it runs
	Heard   time.Time     // its newest report; zero: never
	Refused string        // why it does not take what is newer
	// TrustEnds, of a deaf box: when the last phone that it unlocked before it was last heard has locked itself, at the
	// longest lease that the policy gives. It holds where the box is down, or its phones cannot reach it. A box that works
	// on and is only cut off from the hub decides by what it knows, as long as its policy has no age ladder.
	TrustEnds time.Time
}

// ErrNoRevocation says that there is none of that number.
var ErrNoRevocation = errors.New("there is no revocation of that number")

// Reach tells, for every enrolled box, whether and when it put a revocation into force: the deaf ones first. A box whose
// enrolment was revoked is not among them, although one that is cut off may hold phones until their leases end.
func (r *Releases) Reach(ctx context.Context, number uint64) (Reach, error) {
	reach, err := r.reachOf(ctx, number)
	if err != nil {
		return Reach{}, fmt.Errorf("reach of revocation %d: %w", number, err)
	}
	return reach, nil
}

func (r *Releases) reachOf(ctx context.Context, number uint64) (Reach, error) {
	out, err := r.revocation(ctx, number)
	if err != nil {
		return out, err
	}
	standings, err := r.Standings(ctx)
	if err != nil {
		return out, err
	}
	first, err := r.firstHeard(ctx, number)
	if err != nil {
		return out, err
	}
	newest, err := r.newest(ctx)
	if err != nil {
		return out, err
	}
	lease, err := r.longestLease(ctx)
	if err != nil {
		return out, err
	}
	boxes, err := r.boxes.Boxes(ctx)
	if err != nil {
		return out, err
	}
	for _, box := range boxes {
		b := BoxReach{Box: box}
		if i, ok := slices.BinarySearchFunc(standings, box.ID, func(s Standing, id gateway.BoxID) int { return cmp.Compare(s.Box, id) }); ok {
			applied := standings[i].Report.Applied[uplink.Revocations]
			b.Heard, b.Version, b.Refused = standings[i].Heard, applied.Version, applied.Refused
		}
		// A box that was set back runs less than it once did; after a restore in the hospital one may run what nobody knows.
		if at := first[box.ID]; b.Version >= number && b.Version <= newest[uplink.Revocations] && !at.IsZero() {
			b.Applied = first[box.ID]
			b.Took = b.Applied.Sub(out.Revocation.At)
		} else {
			out.Deaf++
			b.TrustEnds = b.Heard
			if !b.Heard.IsZero() {
				b.TrustEnds = b.Heard.Add(lease)
			}
			if b.TrustEnds.After(out.TrustEnds) {
				out.TrustEnds = b.TrustEnds
			}
		}
		out.Boxes = append(out.Boxes, b)
	}
	slices.SortFunc(out.Boxes, func(a, b BoxReach) int {
		return cmp.Or(deafFirst(a, b), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

func deafFirst(a, b BoxReach) int {
	switch {
	case a.Applied.IsZero() == b.Applied.IsZero():
		return 0
	case a.Applied.IsZero():
		return -1
	}
	return 1
}

func (r *Releases) revocation(ctx context.Context, number uint64) (out Reach, err error) {
	v := &out.Revocation
	v.Number = number
	var decided, sent, dropped int64
	err = r.db.QueryRowContext(ctx, `SELECT target, id, reason, decided, person, sent, dropped FROM release_revocation WHERE number = $1`, int64(number)).
		Scan(&v.Target, &v.ID, &v.Reason, &decided, &out.Person, &sent, &dropped)
	if errors.Is(err, sql.ErrNoRows) {
		return out, ErrNoRevocation
	}
	v.At, out.Sent, out.Dropped = moment(decided), moment(sent), moment(dropped)
	return out, err
}

func moment(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds).UTC()
}

// firstHeard is when each box was first heard to run a list that has the number.
func (r *Releases) firstHeard(ctx context.Context, number uint64) (map[gateway.BoxID]time.Time, error) {
	rows, err := r.db.QueryContext(ctx, `SELECT box, min(heard) FROM release_reach WHERE kind = $1 AND version >= $2 GROUP BY box`,
		string(uplink.Revocations), int64(number))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	first := map[gateway.BoxID]time.Time{}
	for rows.Next() {
		var box gateway.BoxID
		var heard int64
		if err := rows.Scan(&box, &heard); err != nil {
			return nil, err
		}
		first[box] = moment(heard)
	}
	return first, rows.Err()
}

// longestLease is how long a phone may go on without its box, by the newest policy; without one, by none that was released.
func (r *Releases) longestLease(ctx context.Context) (time.Duration, error) {
	_, document, err := r.newestPolicy(ctx)
	if err != nil {
		return 0, err
	}
	var longest time.Duration
	for _, class := range gateway.Classes {
		longest = max(longest, leaseOf(policy.Snapshot{}.Terms(class)))
	}
	if document == nil {
		return longest, nil
	}
	doc, err := policy.Parse(document)
	if err != nil {
		return 0, err
	}
	longest = 0
	for _, class := range doc.Classes {
		longest = max(longest, leaseOf(class.Terms))
	}
	return longest, nil
}

func leaseOf(t gateway.Terms) time.Duration { return t.Lease + t.Drift }

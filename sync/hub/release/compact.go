package release

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/policy"
	"tapward/sync/uplink"
)

func (r *Releases) compactAll(ctx context.Context) {
	every := time.NewTicker(compactEach)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if _, err := r.Compact(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("Cannot look for revocations that no longer matter", "err", err)
		}
	}
}

// Compact leaves out of the list what no longer matters, by the rule in the package's comment, and says how many. It may
// be called at any time.
func (r *Releases) Compact(ctx context.Context) (dropped int, err error) {
	idle, err := r.idle(ctx)
	if err != nil || len(idle) == 0 {
		return 0, err
	}
	enrolled, err := r.boxes.Boxes(ctx)
	if err != nil {
		return 0, err
	}
	err = r.decide(ctx, uplink.Revocations, func(tx *sql.Tx, newest uint64) (uint64, error) {
		dropped = 0
		if most, _ := r.ahead(newest, enrolled); runs(most) > newest {
			return newest, nil
		}
		for _, number := range idle {
			result, err := tx.ExecContext(ctx, `UPDATE release_revocation SET dropped = $1 WHERE number = $2 AND dropped = 0`, time.Now().UnixNano(), int64(number))
			if err != nil {
				return 0, err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return 0, err
			}
			dropped += int(n)
		}
		if dropped == 0 {
			return newest, nil
		}
		return newest + 1, record(ctx, tx, Compacted, "", "", fmt.Sprintf("number %d: %d revocations that the policy made needless are left out", newest+1, dropped))
	})
	return dropped, err
}

// idle are the listed numbers that take nothing from anybody on any box.
func (r *Releases) idle(ctx context.Context) ([]uint64, error) {
	version, document, err := r.newestPolicy(ctx)
	if err != nil || version == 0 {
		return nil, err
	}
	everywhere, err := r.everywhere(ctx, version)
	if err != nil || !everywhere {
		return nil, err
	}
	doc, err := policy.Parse(document)
	if err != nil {
		return nil, err
	}
	list, err := listed(ctx, r.db)
	if err != nil {
		return nil, err
	}
	people, badges := map[string]bool{}, map[string]bool{}
	for _, c := range doc.Clinicians {
		if c.Revoked {
			continue
		}
		people[string(c.ID)] = true
		for _, b := range c.Badges {
			badges[b.String()] = true
		}
	}
	var out []uint64
	for _, v := range list {
		if v.Target == uplink.Clinician && !people[v.ID] || v.Target == uplink.Badge && !badges[lower(v.ID)] {
			out = append(out, v.Number)
		}
	}
	return out, nil
}

// everywhere says that every enrolled box reported this policy or a later one as the one in force.
func (r *Releases) everywhere(ctx context.Context, version uint64) (bool, error) {
	boxes, err := r.boxes.Boxes(ctx)
	if err != nil {
		return false, err
	}
	standings, err := r.Standings(ctx)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(boxes, func(b Box) bool {
		return !slices.ContainsFunc(standings, func(s Standing) bool {
			return s.Box == b.ID && s.Report.Applied[uplink.Policy].Version >= version
		})
	}), nil
}

// lower is a badge's hash as the roster has it.
func lower(id string) string {
	var hash gateway.BadgeHash
	if hash.UnmarshalText([]byte(id)) != nil {
		return id
	}
	return hash.String()
}

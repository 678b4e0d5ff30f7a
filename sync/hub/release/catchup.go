package release

import (
	"context"
	"database/sql"
	"fmt"

	"tapward/sync/uplink"
)

// What boxes say can raise the next number by no more than maxJump, more than any backup lacks, and never above
// maxCatchUp, so that no box can use the numbers up.
const (
	maxJump    = 1_000_000
	maxCatchUp = 1 << 39
)

// ahead looks for enrolled boxes that say they run revocations above the hub's newest: most runs the highest number that
// can be believed (version zero: none is ahead), and beyond cannot be believed.
func (r *Releases) ahead(newest uint64, enrolled []Box) (most Standing, beyond []Standing) {
	limit := min(newest+maxJump, maxCatchUp)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, box := range enrolled {
		s, ok := r.reports[box.ID]
		switch version := runs(s); {
		case !ok || version <= newest:
		case version > limit:
			beyond = append(beyond, s)
		case version > runs(most):
			most = s
		}
	}
	return most, beyond
}

func runs(s Standing) uint64 { return s.Report.Applied[uplink.Revocations].Version }

// catchUp goes on above the numbers that boxes run already. They are above the hub's own only where hub and broker were
// both restored from a backup: or no box would take what is decided now. What the numbers between had said is lost.
func (r *Releases) catchUp(ctx context.Context, tx *sql.Tx, newest uint64, enrolled []Box) (uint64, error) {
	most, beyond := r.ahead(newest, enrolled)
	for _, s := range beyond {
		if err := r.disbelieve(ctx, tx, s); err != nil {
			return 0, err
		}
	}
	if runs(most) <= newest {
		return newest, nil
	}
	words := fmt.Sprintf("box %s runs revocations through number %d and this hub knew %d: numbers %d to %d were lost with what a backup did not hold; decide them again",
		most.Box, runs(most), newest, newest+1, runs(most))
	r.log.Error("Revocations were lost: " + words)
	return runs(most), record(ctx, tx, Lost, "", string(most.Box), words)
}

// disbelieve records, once for each number, that a box says it runs what cannot be.
func (r *Releases) disbelieve(ctx context.Context, tx *sql.Tx, s Standing) error {
	words := fmt.Sprintf("box %s says that it runs revocations through number %d, which no hub of this site can have given: it is not counted; look after the box",
		s.Box, runs(s))
	var known int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM release_event WHERE kind = $1 AND subject = $2 AND words = $3`,
		string(Disbelieved), string(s.Box), words).Scan(&known)
	if err != nil || known > 0 {
		return err
	}
	r.log.Error("A box's report is not believed: " + words)
	return record(ctx, tx, Disbelieved, "", string(s.Box), words)
}

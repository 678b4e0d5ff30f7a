package archive

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tapward/gateway"
)

// Incident is something about a log that a person must look at: an alarm, and where it quarantines, the reason why
// nothing more of that epoch is taken until somebody lifts it.
type Incident struct {
	ID          int64
	Origin      Origin
	Reason      gateway.Reason // audit.Forked, audit.RolledBack, …
	What        string         // in words
	Quarantines bool
	Accepted    string // the newest accepted checkpoint when it was first seen; empty where none
	Evidence    []byte // the message as it came; Incidents leaves it out
	First, Last time.Time
	Times       int64 // the same thing came again

	Lifted              time.Time // zero: still open
	LiftedBy, LiftedWhy string
}

// maxEvidence is how many messages of one origin are kept as evidence while nobody looks; a hostile box could fill the
// disk with more. Those beyond are counted by their reason.
const maxEvidence = 16

// Raise writes an incident down, seen at Last, and gives it as it stands now: Times is 1 where it is new. One that is
// open already, with the same reason and evidence, is counted.
func (a *Archive) Raise(ctx context.Context, i Incident) (Incident, error) {
	if err := i.Origin.Valid(); err != nil {
		return i, fmt.Errorf("raise incident: %w", err)
	}
	if i.Reason == "" || i.Last.IsZero() {
		return i, errors.New("raise incident: its reason or its time is missing")
	}
	err := a.engine.write(ctx, func(tx *sql.Tx) error { return i.write(ctx, tx) })
	if err != nil {
		return i, fmt.Errorf("raise incident of %s: %w", i.Origin, err)
	}
	return i, nil
}

func (i *Incident) write(ctx context.Context, tx *sql.Tx) error {
	o := i.Origin
	var held, known int
	err := tx.QueryRowContext(ctx, `
SELECT count(*), count(CASE WHEN digest = $4 THEN 1 END) FROM incident
WHERE site = $1 AND box = $2 AND epoch = $3 AND lifted IS NULL AND evidence IS NOT NULL`,
		o.Site, string(o.Box), int64(o.Epoch), i.digest()).Scan(&held, &known)
	if err != nil {
		return err
	}
	if held >= maxEvidence && known == 0 {
		i.Evidence = nil
	}
	var first, last int64
	err = tx.QueryRowContext(ctx, `
INSERT INTO incident (site, box, epoch, reason, what, quarantines, accepted, evidence, digest, first_seen, last_seen, times)
VALUES ($1, $2, $3, $4, $5, $6, coalesce((SELECT checkpoint FROM origin WHERE site = $1 AND box = $2 AND epoch = $3), ''), $7, $8, $9, $9, 1)
ON CONFLICT (site, box, epoch, digest) WHERE lifted IS NULL
DO UPDATE SET last_seen = excluded.last_seen, times = incident.times + 1
RETURNING id, accepted, first_seen, last_seen, times`,
		o.Site, string(o.Box), int64(o.Epoch), word(string(i.Reason)), plain(i.What), number(i.Quarantines),
		nilIfEmpty(i.Evidence), i.digest(), i.Last.UnixNano()).Scan(&i.ID, &i.Accepted, &first, &last, &i.Times)
	i.First, i.Last = time.Unix(0, first), time.Unix(0, last)
	return err
}

// digest tells incidents of one origin apart.
func (i *Incident) digest() []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%t\x00", i.Reason, i.Quarantines)
	h.Write(i.Evidence)
	return h.Sum(nil)
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func nilIfEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// Incidents lists at most limit, newest first, without their evidence: those that are open, or all.
func (a *Archive) Incidents(ctx context.Context, all bool, limit int) (incidents []Incident, err error) {
	err = each(ctx, a.db, `
SELECT id, site, box, epoch, reason, what, quarantines, accepted, first_seen, last_seen, times, lifted, lifted_by, lifted_why
FROM incident WHERE lifted IS NULL OR $1 = 1 ORDER BY id DESC LIMIT $2`, []any{number(all), limit}, func(rows *sql.Rows) error {
		var i Incident
		var quarantines, first, last int64
		var lifted sql.NullInt64
		err := rows.Scan(&i.ID, &i.Origin.Site, &i.Origin.Box, &i.Origin.Epoch, &i.Reason, &i.What, &quarantines, &i.Accepted,
			&first, &last, &i.Times, &lifted, &i.LiftedBy, &i.LiftedWhy)
		i.Quarantines, i.First, i.Last = quarantines == 1, time.Unix(0, first), time.Unix(0, last)
		if lifted.Valid {
			i.Lifted = time.Unix(0, lifted.Int64)
		}
		incidents = append(incidents, i)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list incidents: %w", err)
	}
	return incidents, nil
}

// Evidence is the message an incident was raised for; nil where there is none, or no longer.
func (a *Archive) Evidence(ctx context.Context, id int64) (evidence []byte, err error) {
	if err := a.db.QueryRowContext(ctx, `SELECT evidence FROM incident WHERE id = $1`, id).Scan(&evidence); err != nil {
		return nil, fmt.Errorf("read the evidence of incident %d: %w", id, err)
	}
	return evidence, nil
}

// Lift says that a person has looked at an incident, and why its log may go on. A log is out of quarantine when every
// incident that quarantines it is lifted.
func (a *Archive) Lift(ctx context.Context, id int64, by, why string, at time.Time) error {
	err := a.engine.write(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `
UPDATE incident SET lifted = $1, lifted_by = $2, lifted_why = $3 WHERE id = $4 AND lifted IS NULL`,
			at.UnixNano(), plain(by), plain(why), id)
		if err != nil {
			return err
		}
		if rows, err := result.RowsAffected(); err != nil || rows == 0 {
			return errors.Join(err, errors.New("there is no such incident that is open"))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("lift incident %d: %w", id, err)
	}
	return nil
}

// refused is the newest reason of a quarantine of an origin that holds no record yet.
func (a *Archive) refused(ctx context.Context, o Origin) (what string, err error) {
	err = a.db.QueryRowContext(ctx, `
SELECT what FROM incident WHERE site = $1 AND box = $2 AND epoch = $3 AND lifted IS NULL AND quarantines = 1
ORDER BY id DESC LIMIT 1`, o.Site, string(o.Box), int64(o.Epoch)).Scan(&what)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return what, err
}

package enrol

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/sync/claim"
)

// admission is how a newcomer may wait for a person.
type admission struct {
	listed   bool
	patience time.Duration
	link     gateway.Fingerprint // zero: any
}

// admit says whether a newcomer may ask at all.
func (r *Registrar) admit(ctx context.Context, q querier, c claim.Commit, now time.Time) (admission, error) {
	m, err := member(ctx, q, c.Subject)
	if err != nil && !none(err) {
		return admission{}, err
	}
	if err == nil && !m.Revoked.IsZero() {
		return admission{}, claim.Refuse(claim.Revoked, "%s was revoked on %s: a person at the hub must reinstate it or free its name first",
			c.Subject, m.Revoked.UTC().Format(time.DateOnly))
	}
	var ward string
	var link []byte
	var expires int64
	err = q.QueryRowContext(ctx, `SELECT ward, link, expires FROM enrol_expected WHERE subject = $1`, c.Subject.URI().String()).
		Scan(&ward, &link, &expires)
	switch {
	case none(err):
		return r.admitUnlisted(ctx, q, c.Subject, now)
	case err != nil:
		return admission{}, err
	case expires <= now.UnixNano():
		a, err := r.admitUnlisted(ctx, q, c.Subject, now)
		if claim.RefusalOf(err) != "" {
			err = claim.Refuse(claim.NotExpected, "the list that announced %s ended on %s: ask for a new one",
				c.Subject, time.Unix(0, expires).UTC().Format(time.DateTime))
		}
		return a, err
	case ward != c.Ward:
		return admission{}, claim.Refuse(claim.WrongWard, "%s is expected on ward %q, not on %q", c.Subject, ward, c.Ward)
	}
	a := admission{listed: true, patience: time.Unix(0, expires).Sub(now)}
	copy(a.link[:], link)
	return a, nil
}

func (r *Registrar) admitUnlisted(ctx context.Context, q querier, s claim.Subject, now time.Time) (admission, error) {
	var lists int
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM enrol_expected WHERE expires > $1`, now.UnixNano()).Scan(&lists)
	if err != nil {
		return admission{}, err
	}
	if lists > 0 {
		return admission{}, claim.Refuse(claim.NotExpected, "%s is not on the list of expected boxes: compare its name with the list, or have it added", s)
	}
	if !r.config.Walkins {
		return admission{}, claim.Refuse(claim.NotExpected, "%s was not announced, and this hub takes only boxes on a signed list", s)
	}
	return admission{patience: r.config.Patience}, nil
}

// room keeps what waits, and what one may try, within limits.
func (r *Registrar) room(ctx context.Context, q querier, s claim.Subject, now time.Time) error {
	var tries, waiting int
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM enrol_claim WHERE subject = $1 AND began > $2`,
		s.URI().String(), now.Add(-time.Hour).UnixNano()).Scan(&tries)
	if err != nil {
		return err
	}
	err = q.QueryRowContext(ctx, `SELECT count(*) FROM enrol_claim WHERE state <> 'ended' AND state <> 'issued' AND ends > $1 AND listed = 0`,
		now.UnixNano()).Scan(&waiting)
	if err != nil {
		return err
	}
	if tries >= maxTries {
		return claim.Refuse(claim.TooMany, "%s has asked %d times within an hour, or somebody has in its name: look who it is, or try again later", s, tries)
	}
	if waiting >= maxOpen {
		return claim.Refuse(claim.TooMany, "too many claims wait already: confirm or decline them, or try again in some minutes")
	}
	return nil
}

// Expect takes a signed list of expected boxes: while it is in force, only they may ask. A later list replaces what an
// earlier one says of the same box.
func (r *Registrar) Expect(ctx context.Context, signed []byte, person string) (claim.Expected, error) {
	if err := needPerson(person); err != nil {
		return claim.Expected{}, err
	}
	e, err := claim.OpenExpected(signed, r.config.Admins)
	if err != nil {
		return e, err
	}
	now := time.Now()
	if e.Site != r.config.Site {
		return e, claim.Refuse(claim.WrongSite, "the list is of site %q, this hub of %q", e.Site, r.config.Site)
	}
	if !e.Expires.After(now) {
		return e, claim.Refuse(claim.Expired, "the list ended on %s", e.Expires.UTC().Format(time.DateTime))
	}
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return e, fmt.Errorf("take the list: %w", err)
	}
	defer tx.Rollback()
	for _, b := range e.Boxes {
		if err := expect(ctx, tx, e, b); err != nil {
			return e, fmt.Errorf("take the list: %w", err)
		}
	}
	err = r.event(ctx, tx, Announced, person, claim.Subject{}, "%d boxes are expected until %s", len(e.Boxes), e.Expires.UTC().Format(time.DateTime))
	if err != nil {
		return e, fmt.Errorf("take the list: %w", err)
	}
	return e, r.commit(tx)
}

func expect(ctx context.Context, tx *sql.Tx, e claim.Expected, b claim.ExpectedBox) error {
	var link []byte
	if !b.Link.IsZero() {
		link = b.Link[:]
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO enrol_expected (subject, ward, link, issued, expires) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (subject) DO UPDATE SET ward = excluded.ward, link = excluded.link, issued = excluded.issued, expires = excluded.expires
		WHERE excluded.issued >= enrol_expected.issued`,
		claim.Subject{Kind: b.Kind, Site: e.Site, ID: b.ID}.URI().String(), b.Ward, link, e.Issued.UnixNano(), e.Expires.UnixNano())
	return err
}

package enrol

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/sync/claim"
)

// Pending is a claim that a person decides on: who asks, and the code to compare with the one that the box shows.
type Pending struct {
	Claim   string
	Subject claim.Subject
	Ward    string
	Code    claim.Code
	Began   time.Time
	Ends    time.Time
	Listed  bool // a signed list announced it
	Replace bool // a member of this name is on the allow list, with other keys
	Link    gateway.Fingerprint
}

// Pending is what waits for a person, oldest first. Several may ask in the name of one box: the code tells which is the
// box that one stands before.
func (r *Registrar) Pending(ctx context.Context) ([]Pending, error) {
	rows, err := r.db.QueryContext(ctx, `SELECT `+rowColumns+` FROM enrol_claim WHERE state = 'revealed' AND ends > $1 ORDER BY began, id`,
		time.Now().UnixNano())
	if err != nil {
		return nil, fmt.Errorf("list claims: %w", err)
	}
	defer rows.Close()
	var waiting []row
	for rows.Next() {
		c, err := scanRow(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list claims: %w", err)
		}
		waiting = append(waiting, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list claims: %w", err)
	}
	all := make([]Pending, 0, len(waiting))
	for _, c := range waiting {
		p, err := r.pending(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("list claims: %w", err)
		}
		all = append(all, p)
	}
	return all, nil
}

func (r *Registrar) pending(ctx context.Context, c row) (Pending, error) {
	m, err := c.reveal()
	if err != nil {
		return Pending{}, err
	}
	_, err = member(ctx, r.db, c.subject)
	if err != nil && !none(err) {
		return Pending{}, err
	}
	return Pending{c.id, c.subject, c.ward, c.code, c.began, c.ends, c.listed, err == nil, m.Keys.Link}, nil
}

// Confirm lets a newcomer in. code is what the box shows, as the person read it there: another one ends the claim, since
// somebody may stand between. All other claims in the same name end.
func (r *Registrar) Confirm(ctx context.Context, id string, code claim.Code, person string) error {
	c, err := r.forPerson(ctx, id, person)
	if err != nil {
		return err
	}
	if c.code != code {
		return r.wrongCode(ctx, c, code, person)
	}
	return r.decide(ctx, c.subject, func(tx *sql.Tx) error {
		if err := step(ctx, tx, c, confirmed); err != nil {
			return err
		}
		// The box must have time to fetch its certificate.
		if ends := time.Now().Add(r.config.Patience); ends.After(c.ends) {
			if _, err := tx.ExecContext(ctx, `UPDATE enrol_claim SET ends = $1 WHERE id = $2`, ends.UnixNano(), c.id); err != nil {
				return err
			}
		}
		if err := endOthers(ctx, tx, c.subject, c.id, claim.NoClaim, "another claim in this name was confirmed"); err != nil {
			return err
		}
		return r.event(ctx, tx, Confirmed, person, c.subject, "for ward %s with code %s", c.ward, c.code)
	})
}

// Decline turns a newcomer away.
func (r *Registrar) Decline(ctx context.Context, id, person string) error {
	c, err := r.forPerson(ctx, id, person)
	if err != nil {
		return err
	}
	return r.endBy(ctx, c, Declined, person, claim.Declined, "a person at the hub declined this claim", fmt.Sprintf("code %s", c.code))
}

func (r *Registrar) wrongCode(ctx context.Context, c row, code claim.Code, person string) error {
	err := r.endBy(ctx, c, WrongCode, person, claim.CodeDiffers, "the code that was seen on the box was another one",
		fmt.Sprintf("the box showed %s, the hub %s", code, c.code))
	if err != nil {
		return err
	}
	return claim.Refuse(claim.CodeDiffers, "the code differs: somebody may stand between %s and the hub, or it was misread; the claim has ended", c.subject)
}

func (r *Registrar) forPerson(ctx context.Context, id, person string) (row, error) {
	if err := needPerson(person); err != nil {
		return row{}, err
	}
	c, err := find(ctx, r.db, id)
	if err == nil && c.state != revealed {
		err = claim.Refuse(claim.NoClaim, "the claim of %s is %s: there is nothing to decide", c.subject, c.state)
	}
	return c, err
}

func (r *Registrar) endBy(ctx context.Context, c row, kind EventKind, person string, reason gateway.Reason, toBox, words string) error {
	return r.decide(ctx, c.subject, func(tx *sql.Tx) error {
		if err := step(ctx, tx, c, ended); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE enrol_claim SET reason = $1, words = $2 WHERE id = $3`, reason, toBox, c.id)
		if err != nil {
			return err
		}
		return r.event(ctx, tx, kind, person, c.subject, "%s", words)
	})
}

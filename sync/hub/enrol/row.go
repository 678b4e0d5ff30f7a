package enrol

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/sync/claim"
)

// state is how far a claim has come.
type state string

const (
	offered   state = "offered"   // the newcomer has our keys, we do not have its
	revealed  state = "revealed"  // a person may compare the code
	confirmed state = "confirmed" // it may have a token, and for that a certificate
	issued    state = "issued"    // it has been given a certificate
	ended     state = "ended"
)

// row is one claim.
type row struct {
	id        string
	subject   claim.Subject
	ward      string
	state     state
	committed []byte
	offered   []byte
	revealed  []byte
	code      claim.Code
	began     time.Time
	ends      time.Time
	listed    bool
	token     []byte
	chain     []byte
	reason    gateway.Reason
	words     string
}

const rowColumns = `id, subject, ward, state, committed, offered, revealed, code, began, ends, listed, token, chain, reason, words`

func scanRow(scan func(...any) error) (c row, err error) {
	var subject string
	var began, ends int64
	err = scan(&c.id, &subject, &c.ward, &c.state, &c.committed, &c.offered, &c.revealed, &c.code, &began, &ends, &c.listed,
		&c.token, &c.chain, &c.reason, &c.words)
	if err != nil {
		return c, err
	}
	c.began, c.ends = time.Unix(0, began), time.Unix(0, ends)
	c.subject, err = claim.ParseURI(subject)
	return c, err
}

// find reads a claim that has not ended, or says what became of it.
func find(ctx context.Context, q querier, id string) (row, error) {
	c, err := scanRow(q.QueryRowContext(ctx, `SELECT `+rowColumns+` FROM enrol_claim WHERE id = $1`, id).Scan)
	switch {
	case none(err):
		return c, claim.Refuse(claim.NoClaim, "there is no such claim: begin anew")
	case err != nil:
		return c, fmt.Errorf("find a claim: %w", err)
	case c.state == ended:
		return c, claim.Refuse(c.reason, "%s", c.words)
	case !c.ends.After(time.Now()):
		return c, claim.Refuse(claim.NoClaim, "the time of this claim is over: begin anew")
	}
	return c, nil
}

// keys are what was revealed.
func (c row) reveal() (claim.Reveal, error) { return claim.Parse[claim.Reveal](c.revealed) }

// step moves a claim on if it still stands where it was read.
func step(ctx context.Context, tx *sql.Tx, c row, to state) error {
	changed, err := changedOne(tx.ExecContext(ctx, `UPDATE enrol_claim SET state = $1 WHERE id = $2 AND state = $3 AND ends > $4`,
		to, c.id, c.state, time.Now().UnixNano()))
	if err != nil {
		return fmt.Errorf("move a claim on: %w", err)
	}
	if !changed {
		return claim.Refuse(claim.NoClaim, "the claim of %s has been decided already, or its time is over", c.subject)
	}
	return nil
}

// end ends a claim that has not ended, with what the newcomer is told.
func end(ctx context.Context, tx *sql.Tx, id string, reason gateway.Reason, words string) (bool, error) {
	return changedOne(tx.ExecContext(ctx, `UPDATE enrol_claim SET state = 'ended', token = NULL, reason = $1, words = $2
		WHERE id = $3 AND state <> 'ended'`, reason, words, id))
}

// endOthers ends all claims of a subject but one.
func endOthers(ctx context.Context, tx *sql.Tx, s claim.Subject, but string, reason gateway.Reason, words string) error {
	_, err := tx.ExecContext(ctx, `UPDATE enrol_claim SET state = 'ended', token = NULL, reason = $1, words = $2
		WHERE subject = $3 AND id <> $4 AND state <> 'ended'`, reason, words, s.URI().String(), but)
	return err
}

// endOverdue ends claims whose time is over, each with its event if a person was asked, and forgets old ones.
func (r *Registrar) endOverdue(ctx context.Context) error {
	now := time.Now()
	rows, err := r.db.QueryContext(ctx, `SELECT `+rowColumns+` FROM enrol_claim WHERE state <> 'ended' AND ends <= $1`, now.UnixNano())
	if err != nil {
		return fmt.Errorf("end claims: %w", err)
	}
	defer rows.Close()
	var overdue []row
	for rows.Next() {
		c, err := scanRow(rows.Scan)
		if err != nil {
			return fmt.Errorf("end claims: %w", err)
		}
		overdue = append(overdue, c)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("end claims: %w", err)
	}
	for _, c := range overdue {
		if err := r.lapse(ctx, c); err != nil {
			return fmt.Errorf("end the claim of %s: %w", c.subject, err)
		}
	}
	return r.forget(ctx, now.Add(-keepEnded).UnixNano())
}

// forget removes claims and told events from before a moment.
func (r *Registrar) forget(ctx context.Context, before int64) error {
	if _, err := r.db.ExecContext(ctx, `DELETE FROM enrol_claim WHERE ends <= $1`, before); err != nil {
		return fmt.Errorf("forget old claims: %w", err)
	}
	if _, err := r.db.ExecContext(ctx, `DELETE FROM enrol_event WHERE told > 0 AND told <= $1`, before); err != nil {
		return fmt.Errorf("forget told events: %w", err)
	}
	return nil
}

func (r *Registrar) lapse(ctx context.Context, c row) error {
	return r.decide(ctx, c.subject, func(tx *sql.Tx) error {
		ended, err := end(ctx, tx, c.id, claim.NoClaim, "the time of this claim is over: begin anew")
		if err != nil || !ended || c.state == offered || c.state == issued {
			return err
		}
		return r.event(ctx, tx, Lapsed, "", c.subject, "code %s was %s", c.code, c.state)
	})
}

package enrol

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"time"

	"tapward/sync/claim"
)

// reveal takes what a newcomer committed to. The same again is answered again: the first answer may be lost.
func (r *Registrar) reveal(ctx context.Context, id string, raw []byte) (claim.Answer, error) {
	m, err := claim.Parse[claim.Reveal](raw)
	if err != nil {
		return claim.Answer{}, claim.Refuse(claim.Malformed, "%v", err)
	}
	c, err := find(ctx, r.db, id)
	if err != nil {
		return claim.Answer{}, err
	}
	if c.state != offered {
		if !bytes.Equal(c.revealed, raw) {
			return claim.Answer{}, claim.Refuse(claim.BadKeys, "other keys were shown before: begin anew")
		}
		return r.wait(c), nil
	}
	err = r.decide(ctx, c.subject, func(tx *sql.Tx) error { return r.revealIn(ctx, tx, c, m, raw) })
	if reason := claim.RefusalOf(err); reason != "" && reason != claim.NoClaim {
		r.notice(ctx, Turned, c.subject, err, func(tx *sql.Tx) error {
			_, ending := end(context.WithoutCancel(ctx), tx, c.id, reason, err.Error())
			return ending
		})
	}
	return r.wait(c), err
}

func (r *Registrar) revealIn(ctx context.Context, tx *sql.Tx, c row, m claim.Reveal, raw []byte) error {
	opening, err := claim.Parse[claim.Commit](c.committed)
	if err != nil {
		return fmt.Errorf("read a stored claim: %w", err)
	}
	if committed := claim.Commitment(m.Nonce, m.Keys); !bytes.Equal(committed[:], opening.Commitment) {
		return claim.Refuse(claim.BadKeys, "these are not the keys that were committed to")
	}
	if err := m.Keys.Valid(c.subject); err != nil {
		return claim.Refuse(claim.BadKeys, "%v", err)
	}
	t := claim.Transcript{Commit: c.committed, Offer: c.offered, Nonce: m.Nonce, Keys: m.Keys}
	if c.subject.Kind == claim.Box {
		if err := t.CheckProof(m.Proof); err != nil {
			return claim.Refuse(claim.BadKeys, "%v", err)
		}
	}
	if err := free(ctx, tx, c.subject, m.Keys); err != nil {
		return err
	}
	a, err := r.admit(ctx, tx, opening, time.Now())
	if err != nil {
		return err
	}
	if !a.link.IsZero() && a.link != m.Keys.Link {
		return claim.Refuse(claim.NotExpected, "the list announced %s with another link key", c.subject)
	}
	if err := step(ctx, tx, c, revealed); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE enrol_claim SET revealed = $1, code = $2 WHERE id = $3`, raw, t.Code(), c.id); err != nil {
		return err
	}
	return r.event(ctx, tx, Claimed, "", c.subject, "for ward %s with code %s", c.ward, t.Code())
}

// keyID is a key as enrol_key names it.
type keyID struct {
	id   [sha256.Size]byte
	role string
	log  string
}

func keyIDs(k claim.Keys) []keyID {
	ids := []keyID{{k.Fingerprint(), "tls", ""}, {k.Link, "link", ""}}
	if k.Log != "" {
		ids = append(ids, keyID{sha256.Sum256([]byte(k.Log)), "log", k.Log})
	}
	return ids
}

// free says that none of the keys is another's, was revoked, or served for something else.
func free(ctx context.Context, q querier, s claim.Subject, k claim.Keys) error {
	for _, key := range keyIDs(k) {
		if err := freeKey(ctx, q, s, key); err != nil {
			return err
		}
	}
	return nil
}

func freeKey(ctx context.Context, q querier, s claim.Subject, key keyID) error {
	var role, owner string
	var revoked int64
	err := q.QueryRowContext(ctx, `SELECT role, subject, revoked FROM enrol_key WHERE id = $1`, key.id[:]).Scan(&role, &owner, &revoked)
	switch {
	case none(err):
		return nil
	case err != nil:
		return fmt.Errorf("look up a key: %w", err)
	case revoked != 0:
		return claim.Refuse(claim.Revoked, "the %s key was revoked: make new keys", key.role)
	case owner != s.URI().String():
		return claim.Refuse(claim.KeyInUse, "the %s key is another machine's: no key may serve two", key.role)
	case role != key.role && !(s.Kind == claim.Phone && role != "log" && key.role != "log"):
		return claim.Refuse(claim.KeyInUse, "the %s key is the %s key already: each must be its own", key.role, role)
	}
	return nil
}

// own writes down whose keys these are.
func own(ctx context.Context, tx *sql.Tx, s claim.Subject, keys ...keyID) error {
	for _, key := range keys {
		if err := freeKey(ctx, tx, s, key); err != nil {
			return err
		}
		owned, err := changedOne(tx.ExecContext(ctx, `INSERT INTO enrol_key (id, role, subject, since, revoked, log) VALUES ($1, $2, $3, $4, 0, $5)
			ON CONFLICT (id) DO UPDATE SET since = excluded.since WHERE enrol_key.subject = excluded.subject`,
			key.id[:], key.role, s.URI().String(), time.Now().UnixNano(), key.log))
		if err != nil {
			return fmt.Errorf("write down a key: %w", err)
		}
		if !owned {
			return claim.Refuse(claim.KeyInUse, "the %s key is another machine's by now: no key may serve two", key.role)
		}
	}
	return nil
}

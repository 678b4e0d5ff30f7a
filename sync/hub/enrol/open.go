package enrol

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"time"

	"tapward/sync/claim"
)

// Limits of what waits, so that nobody can fill the database or hide a newcomer among others.
const (
	maxOpen = 500 // claims of boxes that no list announced

	// maxTries is how many claims may begin in one name within an hour, whatever became of them. Each is a try for
	// whoever stands between: it learns the hub's code from the offer and may leave off unseen until one is the box's.
	maxTries = 16
)

// open takes a Commit and answers with an Offer. raw are the bytes that travelled.
func (r *Registrar) open(ctx context.Context, raw []byte) ([]byte, error) {
	c, err := claim.Parse[claim.Commit](raw)
	if err != nil {
		return nil, claim.Refuse(claim.Malformed, "%v", err)
	}
	if c.Site != r.config.Site {
		return nil, claim.Refuse(claim.WrongSite, "this hub is of site %q, not of %q", r.config.Site, c.Site)
	}
	var offer []byte
	err = r.decide(ctx, c.Subject, func(tx *sql.Tx) error {
		offer, err = r.openIn(ctx, tx, c, raw)
		return err
	})
	if claim.RefusalOf(err) != "" {
		r.notice(ctx, Turned, c.Subject, err)
	}
	return offer, err
}

func (r *Registrar) openIn(ctx context.Context, tx *sql.Tx, c claim.Commit, raw []byte) ([]byte, error) {
	now := time.Now()
	a, err := r.admit(ctx, tx, c, now)
	if err != nil {
		return nil, err
	}
	if err := r.room(ctx, tx, c.Subject, now); err != nil {
		return nil, err
	}
	id := make([]byte, 16)
	o := claim.Offer{Nonce: make([]byte, claim.NonceSize), Hub: r.hub, Lasts: int(a.patience / time.Second)}
	rand.Read(id)
	rand.Read(o.Nonce)
	o.Claim = hex.EncodeToString(id)
	offer, err := claim.Encode(o)
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO enrol_claim
		(id, subject, ward, state, committed, offered, code, began, ends, listed, reason, words)
		VALUES ($1, $2, $3, 'offered', $4, $5, '', $6, $7, $8, '', '')`,
		o.Claim, c.Subject.URI().String(), c.Ward, raw, offer, now.UnixNano(), now.Add(a.patience).UnixNano(), flag(a.listed))
	return offer, err
}

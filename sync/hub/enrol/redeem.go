package enrol

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"fmt"
	"time"

	"tapward/sync/claim"
)

// answer says how a claim stands. Once a person has confirmed, each answer holds a new token, which voids the one before.
func (r *Registrar) answer(ctx context.Context, id string) (claim.Answer, error) {
	c, err := find(ctx, r.db, id)
	if err != nil {
		return claim.Answer{}, err
	}
	if c.state != confirmed && c.state != issued {
		return r.wait(c), nil
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	token := base64.RawURLEncoding.EncodeToString(secret)
	digest := sha256.Sum256([]byte(token))
	changed, err := changedOne(r.db.ExecContext(ctx, `UPDATE enrol_claim SET token = $1 WHERE id = $2 AND state IN ('confirmed', 'issued')`, digest[:], id))
	if err != nil {
		return claim.Answer{}, fmt.Errorf("make a token: %w", err)
	}
	if !changed {
		return claim.Answer{}, claim.Refuse(claim.NoClaim, "the claim has ended: begin anew")
	}
	return claim.Answer{Token: token}, nil
}

// wait asks a newcomer to ask again: soon while a person may be looking, more rarely if it waits for days.
func (r *Registrar) wait(c row) claim.Answer {
	again := r.config.Ask
	if time.Since(c.began) > r.config.Patience {
		again *= rarely
	}
	return claim.Answer{Again: int(again / time.Millisecond)}
}

const rarely = 15

// redeem gives the certificate for a token. A claim makes one, for the key that was revealed: asked again with a token of
// the same claim it gives the same one, since the first answer may be lost.
func (r *Registrar) redeem(ctx context.Context, id string, raw []byte) (claim.Issued, error) {
	m, err := claim.Parse[claim.Redeem](raw)
	if err != nil {
		return claim.Issued{}, claim.Refuse(claim.Malformed, "%v", err)
	}
	c, err := find(ctx, r.db, id)
	if err != nil {
		return claim.Issued{}, err
	}
	out, err := r.redeemFor(ctx, c, m)
	if claim.RefusalOf(err) != "" {
		r.notice(ctx, TokenRefused, c.subject, err)
	}
	return out, err
}

func (r *Registrar) redeemFor(ctx context.Context, c row, m claim.Redeem) (claim.Issued, error) {
	digest := sha256.Sum256([]byte(m.Token))
	if c.token == nil || subtle.ConstantTimeCompare(c.token, digest[:]) != 1 {
		return claim.Issued{}, claim.Refuse(claim.BadToken, "the token is not the one that was given out last, or was used")
	}
	shown, err := c.reveal()
	if err != nil {
		return claim.Issued{}, fmt.Errorf("read a stored claim: %w", err)
	}
	req, key, err := request(m.Request, c.subject)
	if err != nil {
		return claim.Issued{}, err
	}
	if key != shown.Keys.Fingerprint() {
		return claim.Issued{}, claim.Refuse(claim.BadRequest, "the certificate request is of another key than the one that was confirmed")
	}
	if c.state == confirmed {
		if c.chain, err = r.issueFirst(ctx, c, shown.Keys, req); err != nil {
			return claim.Issued{}, err
		}
	} else if err := spend(ctx, r.db, c.id, digest[:]); err != nil {
		return claim.Issued{}, err
	}
	return r.issued(c.chain)
}

// issueFirst makes the claim's certificate and puts the newcomer on the allow list. The CA, which may be elsewhere, is
// asked outside the transaction; where two ask at the same time, the first one's certificate counts.
func (r *Registrar) issueFirst(ctx context.Context, c row, keys claim.Keys, req *x509.CertificateRequest) ([]byte, error) {
	chain, err := r.issue(ctx, c.subject, req)
	if err != nil {
		return nil, err
	}
	der := encodeChain(chain)
	err = r.decide(ctx, c.subject, func(tx *sql.Tx) error {
		if err := spend(ctx, tx, c.id, c.token); err != nil {
			return err
		}
		if err := step(ctx, tx, c, issued); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE enrol_claim SET chain = $1 WHERE id = $2`, der, c.id); err != nil {
			return err
		}
		if err := own(ctx, tx, c.subject, keyIDs(keys)...); err != nil {
			return err
		}
		if err := join(ctx, tx, c, keys, der, chain[0].NotAfter); err != nil {
			return err
		}
		return r.event(ctx, tx, Issued, "", c.subject, "serial %x, until %s", chain[0].SerialNumber, chain[0].NotAfter.UTC().Format(time.DateTime))
	})
	return der, err
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// spend uses a token up. Of those who bring it at the same time, one gets past.
func spend(ctx context.Context, db execer, id string, digest []byte) error {
	changed, err := changedOne(db.ExecContext(ctx, `UPDATE enrol_claim SET token = NULL WHERE id = $1 AND token = $2`, id, digest))
	if err != nil {
		return fmt.Errorf("use a token: %w", err)
	}
	if !changed {
		return claim.Refuse(claim.BadToken, "the token is not the one that was given out last, or was used")
	}
	return nil
}

// join puts a newcomer on the allow list, in place of whoever bore its name.
func join(ctx context.Context, tx *sql.Tx, c row, k claim.Keys, chain []byte, ends time.Time) error {
	tls := k.Fingerprint()
	joined, err := changedOne(tx.ExecContext(ctx, `INSERT INTO enrol_member (subject, ward, tls, previous, link, log, chain, since, ends, revoked)
		VALUES ($1, $2, $3, NULL, $4, $5, $6, $7, $8, 0)
		ON CONFLICT (subject) DO UPDATE SET ward = excluded.ward, tls = excluded.tls, previous = NULL, link = excluded.link,
			log = excluded.log, chain = excluded.chain, since = excluded.since, ends = excluded.ends
		WHERE enrol_member.revoked = 0`,
		c.subject.URI().String(), c.ward, tls[:], k.Link[:], k.Log, chain, time.Now().UnixNano(), ends.UnixNano()))
	if err != nil {
		return fmt.Errorf("put %s on the allow list: %w", c.subject, err)
	}
	if !joined {
		return claim.Refuse(claim.Revoked, "%s was revoked meanwhile", c.subject)
	}
	return nil
}

// issued is the message that carries a stored chain.
func (r *Registrar) issued(der []byte) (claim.Issued, error) {
	chain, err := x509.ParseCertificates(der)
	if err != nil {
		return claim.Issued{}, fmt.Errorf("read a stored certificate: %w", err)
	}
	out := claim.Issued{Hub: r.hub}
	for _, c := range chain {
		out.Chain = append(out.Chain, c.Raw)
	}
	return out, nil
}

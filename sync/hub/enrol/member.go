package enrol

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/sync/claim"
	"tapward/sync/uplink"
)

// Member is one of the allow list.
type Member struct {
	Subject claim.Subject
	Ward    string
	TLS     gateway.Fingerprint // of its newest key
	Link    gateway.Fingerprint
	Log     string // verifier key; empty of a phone
	Since   time.Time
	Ends    time.Time // of the newest certificate
	Revoked time.Time // zero: not

	previous []byte // the key before TLS, until TLS is used to renew
	chain    []byte // DER, newest certificate first
}

// has says whether key is one that this member may come with.
func (m Member) has(key gateway.Fingerprint) bool { return key == m.TLS || m.behind(key) }

// behind says that key is the one before the newest.
func (m Member) behind(key gateway.Fingerprint) bool {
	return len(m.previous) == len(key) && gateway.Fingerprint(m.previous) == key
}

// intermediates are the certificates between the member's newest one and a root.
func (m Member) intermediates() ([]*x509.Certificate, error) {
	chain, err := x509.ParseCertificates(m.chain)
	if err == nil && len(chain) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, fmt.Errorf("read the stored certificate of %s: %w", m.Subject, err)
	}
	return chain[1:], nil
}

const memberColumns = `subject, ward, tls, previous, link, log, chain, since, ends, revoked`

func scanMember(scan func(...any) error) (m Member, err error) {
	var subject string
	var tls, link []byte
	var since, ends, revoked int64
	if err := scan(&subject, &m.Ward, &tls, &m.previous, &link, &m.Log, &m.chain, &since, &ends, &revoked); err != nil {
		return m, err
	}
	copy(m.TLS[:], tls)
	copy(m.Link[:], link)
	m.Since, m.Ends = time.Unix(0, since), time.Unix(0, ends)
	if revoked != 0 {
		m.Revoked = time.Unix(0, revoked)
	}
	m.Subject, err = claim.ParseURI(subject)
	return m, err
}

func member(ctx context.Context, q querier, s claim.Subject) (Member, error) {
	return scanMember(q.QueryRowContext(ctx, `SELECT `+memberColumns+` FROM enrol_member WHERE subject = $1`, s.URI().String()).Scan)
}

// Members is the allow list, revoked ones included, by name.
func (r *Registrar) Members(ctx context.Context) ([]Member, error) {
	rows, err := r.db.QueryContext(ctx, `SELECT `+memberColumns+` FROM enrol_member ORDER BY subject`)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	defer rows.Close()
	var all []Member
	for rows.Next() {
		m, err := scanMember(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list members: %w", err)
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

// LogKeys are the keys that a box's log was signed with, the newest first; the others are of machines that bore its name
// before. A box that nobody knows has none.
func (r *Registrar) LogKeys(ctx context.Context, a uplink.Address) ([]note.Verifier, error) {
	rows, err := r.db.QueryContext(ctx, `SELECT log FROM enrol_key WHERE subject = $1 AND role = 'log' ORDER BY since DESC`, boxSubject(a).URI().String())
	if err != nil {
		return nil, fmt.Errorf("find the log key of %s: %w", a, err)
	}
	defer rows.Close()
	var keys []note.Verifier
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("find the log key of %s: %w", a, err)
		}
		key, err := note.NewVerifier(text)
		if err != nil {
			return nil, fmt.Errorf("find the log key of %s: %w", a, err)
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

func boxSubject(a uplink.Address) claim.Subject {
	return claim.Subject{Kind: claim.Box, Site: a.Site, ID: string(a.Box)}
}

// Revoke takes a member's access: it may not renew, the broker lets it in no more, and its live connections are cut, at
// once and again when the event is told. Its keys never come back unless it is reinstated.
func (r *Registrar) Revoke(ctx context.Context, s claim.Subject, person, why string) error {
	err := r.change(ctx, s, person, Revoked, why, func(tx *sql.Tx, now int64) (sql.Result, error) {
		if _, err := tx.ExecContext(ctx, `UPDATE enrol_key SET revoked = $1 WHERE subject = $2 AND revoked = 0`, now, s.URI().String()); err != nil {
			return nil, err
		}
		if err := endOthers(ctx, tx, s, "", claim.Revoked, fmt.Sprintf("%s was revoked", s)); err != nil {
			return nil, err
		}
		return tx.ExecContext(ctx, `UPDATE enrol_member SET revoked = $1 WHERE subject = $2 AND revoked = 0`, now, s.URI().String())
	})
	if err == nil {
		r.cutNow(ctx, s)
	}
	return err
}

const cutTime = 5 * time.Second

// cutNow does not wait for the events before the revocation's, one of which may not get through. The revocation stands
// whatever comes of it, also where whoever asked has gone; its event cuts again.
func (r *Registrar) cutNow(ctx context.Context, s claim.Subject) {
	if r.told.Cut == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutTime)
	defer cancel()
	if err := r.told.Cut(ctx, s); err != nil {
		r.log.Warn("cannot cut the connections of a revoked member at once; trying again", "subject", s.String(), "error", err)
	}
}

// Reinstate undoes a revocation: the same machine with the same keys is let in again.
func (r *Registrar) Reinstate(ctx context.Context, s claim.Subject, person, why string) error {
	return r.change(ctx, s, person, Reinstated, why, func(tx *sql.Tx, now int64) (sql.Result, error) {
		_, err := tx.ExecContext(ctx, `UPDATE enrol_key SET revoked = 0 WHERE subject = $1
			AND revoked = (SELECT revoked FROM enrol_member WHERE subject = $1)`, s.URI().String())
		if err != nil {
			return nil, err
		}
		return tx.ExecContext(ctx, `UPDATE enrol_member SET revoked = 0 WHERE subject = $1 AND revoked <> 0`, s.URI().String())
	})
}

// Vacate frees the name of a revoked member for another machine. The revoked keys stay out for ever.
func (r *Registrar) Vacate(ctx context.Context, s claim.Subject, person, why string) error {
	return r.change(ctx, s, person, Vacated, why, func(tx *sql.Tx, _ int64) (sql.Result, error) {
		return tx.ExecContext(ctx, `DELETE FROM enrol_member WHERE subject = $1 AND revoked <> 0`, s.URI().String())
	})
}

// change applies one person's decision about a member, if the member is as the decision needs it.
func (r *Registrar) change(ctx context.Context, s claim.Subject, person string, kind EventKind, why string,
	apply func(tx *sql.Tx, now int64) (sql.Result, error)) error {
	if err := errors.Join(needPerson(person), needWhy(why)); err != nil {
		return err
	}
	return r.decide(ctx, s, func(tx *sql.Tx) error {
		changed, err := changedOne(apply(tx, time.Now().UnixNano()))
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if !changed {
			return claim.Refuse(claim.NotListed, "%s is not on the list in a state for that: look at the list of members", s)
		}
		return r.event(ctx, tx, kind, person, s, "%s", why)
	})
}

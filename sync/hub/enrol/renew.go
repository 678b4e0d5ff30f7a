package enrol

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/sync/claim"
	"tapward/sync/uplink"
)

// Authorize says whose certificate it is and whether the broker may let it in now. A refusal is a value; an error means
// that it could not be found out. The caller's TLS has shown that the key is there.
func (r *Registrar) Authorize(ctx context.Context, c *x509.Certificate) (a uplink.Address, ward string, refused gateway.Reason, err error) {
	m, err := r.identify(ctx, c)
	if err == nil {
		err = r.inForce(m, c, time.Now())
	}
	if reason := claim.RefusalOf(err); reason != "" {
		return uplink.Address{}, "", reason, nil
	}
	if err != nil {
		return uplink.Address{}, "", "", err
	}
	if m.Subject.Kind != claim.Box {
		return uplink.Address{}, "", claim.NotListed, nil
	}
	return uplink.Address{Site: m.Subject.Site, Box: gateway.BoxID(m.Subject.ID)}, m.Ward, "", nil
}

// inForce says that our CA made the certificate and that it has not expired.
func (r *Registrar) inForce(m Member, c *x509.Certificate, now time.Time) error {
	between, err := m.intermediates()
	if err != nil {
		return err
	}
	if r.verify(c, between, earlier(now, c.NotAfter)) != nil {
		return claim.Refuse(claim.BadIdentity, "another CA made its certificate, or it is of the future")
	}
	if now.After(c.NotAfter) {
		return claim.Refuse(claim.Expired, "its certificate has expired: it must renew it")
	}
	return nil
}

// identify finds the member whose certificate it is, whatever its dates, and refuses one that is not on the allow list
// with this key.
func (r *Registrar) identify(ctx context.Context, c *x509.Certificate) (Member, error) {
	s, err := claim.CertificateSubject(c)
	if err != nil {
		return Member{}, claim.Refuse(claim.BadIdentity, "%v", err)
	}
	m, err := member(ctx, r.db, s)
	switch {
	case none(err):
		return Member{Subject: s}, claim.Refuse(claim.NotListed, "%s is not on the allow list: it must be claimed", s)
	case err != nil:
		return Member{Subject: s}, fmt.Errorf("look up %s: %w", s, err)
	case !m.Revoked.IsZero():
		return m, claim.Refuse(claim.Revoked, "%s was revoked on %s", s, m.Revoked.UTC().Format(time.DateOnly))
	case !m.has(gateway.FingerprintOf(c.RawSubjectPublicKeyInfo)):
		return m, claim.Refuse(claim.NotListed, "%s has another key by now: it must be claimed anew", s)
	}
	return m, nil
}

// renew makes a further certificate for whoever showed one, also where that has expired: a box may have been cut off for
// weeks. It must be of our CA and of a member that was not revoked.
func (r *Registrar) renew(ctx context.Context, shown []*x509.Certificate, raw []byte) (claim.Issued, error) {
	if len(shown) == 0 {
		return claim.Issued{}, claim.Refuse(claim.BadIdentity, "the connection shows no certificate to renew")
	}
	req, err := claim.Parse[claim.Redeem](raw)
	if err != nil || req.Token != "" {
		return claim.Issued{}, claim.Refuse(claim.Malformed, "this is no request to renew")
	}
	now := time.Now()
	c := shown[0]
	if err := r.verify(c, shown[1:], earlier(now, c.NotAfter)); err != nil {
		return claim.Issued{}, claim.Refuse(claim.BadIdentity, "another CA made the certificate, or it is of the future")
	}
	m, err := r.identify(ctx, c)
	var out claim.Issued
	if err == nil {
		out, err = r.renewFor(ctx, m, c, req, now)
	}
	if claim.RefusalOf(err) != "" && m.Subject != (claim.Subject{}) {
		r.notice(ctx, RenewRefused, m.Subject, err)
	}
	return out, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (r *Registrar) renewFor(ctx context.Context, m Member, old *x509.Certificate, req claim.Redeem, now time.Time) (claim.Issued, error) {
	wanted, key, err := request(req.Request, m.Subject)
	if err != nil {
		return claim.Issued{}, err
	}
	chain, err := r.issue(ctx, m.Subject, wanted)
	if err != nil {
		return claim.Issued{}, err
	}
	oldKey := gateway.FingerprintOf(old.RawSubjectPublicKeyInfo)
	kind, words := Renewed, fmt.Sprintf("serial %x, until %s", chain[0].SerialNumber, chain[0].NotAfter.UTC().Format(time.DateTime))
	if m.behind(oldKey) {
		kind, words = RenewedBehind, words+"; by the key before the newest"
	}
	if late := now.Sub(old.NotAfter); late > 0 {
		kind, words = RenewedLate, fmt.Sprintf("%s; the one before had expired %s ago", words, late.Round(time.Second))
	}
	der := encodeChain(chain)
	err = r.decide(ctx, m.Subject, func(tx *sql.Tx) error {
		if err := own(ctx, tx, m.Subject, keyID{key, "tls", ""}); err != nil {
			return err
		}
		if err := replace(ctx, tx, m, oldKey, key, der, chain[0].NotAfter); err != nil {
			return err
		}
		return r.event(ctx, tx, kind, "", m.Subject, "%s", words)
	})
	if err != nil {
		return claim.Issued{}, err
	}
	return r.issued(der)
}

// replace puts the new key into the place of the newest. The key that asked stays good until the new one renews, since
// the answer may be lost.
func replace(ctx context.Context, tx *sql.Tx, m Member, asked, key gateway.Fingerprint, chain []byte, ends time.Time) error {
	var previous []byte
	if key != asked {
		previous = asked[:]
	}
	replaced, err := changedOne(tx.ExecContext(ctx, `UPDATE enrol_member SET tls = $1, previous = $2, chain = $3, ends = $4
		WHERE subject = $5 AND revoked = 0 AND (tls = $6 OR previous = $6)`,
		key[:], previous, chain, ends.UnixNano(), m.Subject.URI().String(), asked[:]))
	if err != nil {
		return fmt.Errorf("renew %s: %w", m.Subject, err)
	}
	if !replaced {
		return claim.Refuse(claim.NotListed, "%s was revoked or claimed anew meanwhile", m.Subject)
	}
	return nil
}

package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"tapward/sync/claim"
)

const (
	firstRetry = 30 * time.Second
	mostRetry  = time.Hour
)

// Run renews the certificate at half life, at once if that is past, until ctx ends. What fails is tried again for ever,
// after longer and longer pauses: also a refusal, since a person may take it back.
func (e *Enrolment) Run(ctx context.Context) error {
	if err := tidy(e.folder); err != nil {
		return fmt.Errorf("renew the certificate: %w", err)
	}
	return keepNew(ctx, e.due(time.Now()), func() (time.Duration, error) {
		if err := e.renew(ctx); err != nil {
			return 0, e.fail(ctx, err)
		}
		return halfLife(e.Certificate().Leaf), nil
	})
}

// due is when to renew the certificate that was found in the file. One of the future means that the clock is behind, and
// tells nothing about its age.
func (e *Enrolment) due(now time.Time) time.Duration {
	leaf := e.Certificate().Leaf
	if now.Before(leaf.NotBefore) {
		return 0
	}
	return max(0, leaf.NotBefore.Add(halfLife(leaf)).Sub(now))
}

// halfLife is when a certificate that was just made is renewed, some of it left to chance. It is counted on the clock
// that does not jump.
func halfLife(leaf *x509.Certificate) time.Duration {
	half := leaf.NotAfter.Sub(leaf.NotBefore) / 2
	return half - mathrand.N(half/10+1)
}

// keepNew calls renew when it is due; renew says when it is due again.
func keepNew(ctx context.Context, due time.Duration, renew func() (time.Duration, error)) error {
	retry := backoff{first: firstRetry, most: mostRetry}
	for {
		if pause(ctx, due) != nil {
			return nil
		}
		next, err := renew()
		if err != nil {
			due = retry.wait()
			continue
		}
		retry.reset()
		due = next
	}
}

// fail notes why a renewal failed, and logs it once as long as the reason stays.
func (e *Enrolment) fail(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	before := e.Standing()
	e.stand(Standing{Ends: before.Ends, Trouble: err.Error(), Refused: refused(err)})
	if before.Trouble != err.Error() {
		e.log.Warn("the certificate was not renewed", "ends", before.Ends, "error", err)
	}
	return err
}

// renew has a certificate made for a new key, over a connection that shows the old one, whether expired or not. The new
// one is stored before it is used. If the answer is lost, the hub still knows the old key.
func (e *Enrolment) renew(ctx context.Context) error {
	t := e.Trust()
	at, err := newHub(t.Hub.Enrol, func(host string) *tls.Config { return e.TLS(host) })
	if err != nil {
		return fmt.Errorf("renew the certificate: %w", err)
	}
	defer at.close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return errors.New("renew the certificate: make a key")
	}
	request, err := newRequest(t.Subject, key)
	if err != nil {
		return fmt.Errorf("renew the certificate: %w", err)
	}
	body, err := claim.Encode(claim.Redeem{Request: request})
	if err != nil {
		return fmt.Errorf("renew the certificate: %w", err)
	}
	m, err := tell[claim.Issued](ctx, at, "POST", claim.RenewPath, body)
	if err != nil {
		return fmt.Errorf("renew the certificate: %w", err)
	}
	if t.Hub, err = t.Hub.Moved(m.Hub); err != nil {
		return fmt.Errorf("renew the certificate: %w", err)
	}
	h, err := hold(t, m.Chain, key)
	if err != nil {
		return fmt.Errorf("renew the certificate: %w", err)
	}
	if err := h.store(e.folder); err != nil {
		return fmt.Errorf("renew the certificate: %w", err)
	}
	e.use(h)
	return nil
}

// use shows the new certificate from now on.
func (e *Enrolment) use(h *held) {
	e.current.Store(h)
	e.stand(Standing{Ends: h.cert.Leaf.NotAfter})
	e.log.Info("the certificate was renewed", "ends", h.cert.Leaf.NotAfter)
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

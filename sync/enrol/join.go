package enrol

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/sync/claim"
)

// Applicant is who asks to be enrolled, and where.
type Applicant struct {
	Subject claim.Subject
	Ward    string
	Hub     string              // https://host:port
	Pin     gateway.Fingerprint // of the key of the hub's CA, from the boot configuration

	Link   gateway.Fingerprint // of the key to phones (of a phone: to boxes)
	Log    note.Signer         // of a box's audit log; nil of a phone
	LogKey string              // its verifier key
}

// Progress is what is shown at the box while it asks.
type Progress struct {
	Code    claim.Code    // empty until there is one; compare it with the hub's
	Lasts   time.Duration // how long the claim lasted when it began
	Trouble string        // why it does not go on, in words
}

const (
	firstPause = time.Second
	mostPause  = 30 * time.Second
	leastAsk   = 50 * time.Millisecond

	// mostAnew is the longest pause before a claim begins anew. Whoever stands between may end claims until a code suits.
	mostAnew = 5 * time.Minute
)

// Join has the box enrolled: it asks, shows the code, waits for a person, and gives the stored enrolment. It goes on
// where a process that died left off, begins anew where a claim's time is over, and tries until ctx ends. A refusal that
// asking again would not change is a *claim.Refusal; an answer that no hub of the pinned CA gives is an error too. The
// next Join begins anew. One process at a time has the folder; show is called from this goroutine.
func Join(ctx context.Context, folder string, a Applicant, show func(Progress), log *slog.Logger) (*Enrolment, error) {
	if err := tidy(folder); err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	e, err := Load(folder, log)
	switch {
	case err == nil && e.Trust().Subject != a.Subject:
		return nil, fmt.Errorf("enrol: the folder holds the enrolment of %s, not of %s", e.Trust().Subject, a.Subject)
	case err == nil:
		return e, removeFile(folder, claimFile)
	case !errors.Is(err, ErrNotEnrolled):
		return nil, err
	}
	at, err := newHub(a.Hub, func(host string) *tls.Config { return pinnedTLS(host, a.Pin) })
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	defer at.close()
	j := &joining{Applicant: a, folder: folder, hub: at, show: show, log: log}
	h, err := j.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	return newEnrolment(folder, h, log), nil
}

// joining is one Join.
type joining struct {
	Applicant
	folder string
	hub    hub
	show   func(Progress)
	log    *slog.Logger

	attempt attempt
	code    claim.Code
	lasts   time.Duration
}

// run goes on from what the file holds until it is through or refused.
func (j *joining) run(ctx context.Context) (*held, error) {
	if err := j.resume(); err != nil {
		return nil, err
	}
	retry, anew := backoff{first: firstPause, most: mostPause}, backoff{first: firstPause, most: mostAnew}
	for {
		h, wait, err := j.advance(ctx)
		switch {
		case h != nil:
			return h, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			retry.reset()
		case claim.RefusalOf(err) == claim.NoClaim:
			j.log.Info("the claim has ended, a new one begins", "why", err)
			if err := j.anew(); err != nil {
				return nil, err
			}
			wait = anew.wait()
		case claim.RefusalOf(err) == claim.BadToken:
			wait = retry.wait()
		case refused(err), errors.As(err, new(*unfit)):
			return nil, errors.Join(err, j.forget())
		default:
			wait = retry.wait()
			j.log.Warn("enrolment does not go on", "error", err, "again", wait)
			j.show(Progress{j.code, j.lasts, err.Error()})
		}
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// advance takes the next step; it gives the enrolment, or how long to wait before the step after.
func (j *joining) advance(ctx context.Context) (*held, time.Duration, error) {
	if j.attempt.Offer == nil {
		return nil, 0, j.open(ctx)
	}
	if j.code == "" {
		return nil, 0, j.reveal(ctx)
	}
	answer, err := tell[claim.Answer](ctx, j.hub, "GET", claimPath(claim.AnswerPath, j.attempt.claim), nil)
	if err != nil {
		return nil, 0, err
	}
	if answer.Token == "" {
		return nil, min(max(time.Duration(answer.Again)*time.Millisecond, leastAsk), mostPause), nil
	}
	h, err := j.redeem(ctx, answer.Token)
	return h, 0, err
}

// open commits and keeps the offer.
func (j *joining) open(ctx context.Context) error {
	raw, err := j.hub.ask(ctx, "POST", claim.CommitPath, j.attempt.Commit)
	if err != nil {
		return err
	}
	if err := j.attempt.take(raw, j.Applicant); err != nil {
		return err
	}
	return j.store()
}

// reveal shows the keys and, once the hub has them, the code.
func (j *joining) reveal(ctx context.Context) error {
	t := j.attempt.transcript(j.keys())
	m := claim.Reveal{Nonce: t.Nonce, Keys: t.Keys}
	if j.Log != nil {
		proof, err := t.SignProof(j.Log)
		if err != nil {
			return err
		}
		m.Proof = proof
	}
	body, err := claim.Encode(m)
	if err != nil {
		return err
	}
	if _, err := tell[claim.Answer](ctx, j.hub, "POST", claimPath(claim.RevealPath, j.attempt.claim), body); err != nil {
		return err
	}
	j.code, j.lasts = t.Code(), time.Duration(j.attempt.offer.Lasts)*time.Second
	j.log.Info("compare the code with the hub's", "code", j.code.String(), "lasts", j.lasts)
	j.show(Progress{Code: j.code, Lasts: j.lasts})
	return nil
}

// redeem exchanges the token for a certificate and stores the enrolment.
func (j *joining) redeem(ctx context.Context, token string) (*held, error) {
	request, err := newRequest(j.Subject, j.attempt.key)
	if err != nil {
		return nil, err
	}
	body, err := claim.Encode(claim.Redeem{Token: token, Request: request})
	if err != nil {
		return nil, err
	}
	m, err := tell[claim.Issued](ctx, j.hub, "POST", claimPath(claim.RedeemPath, j.attempt.claim), body)
	if err != nil {
		return nil, err
	}
	// What was confirmed with the code is trusted, not what came since.
	h, err := hold(Trust{j.Subject, j.Ward, j.attempt.offer.Hub}, m.Chain, j.attempt.key)
	if err != nil {
		return nil, &unfit{err.Error()}
	}
	if err := h.store(j.folder); err != nil {
		return nil, fmt.Errorf("store the enrolment: %w", err)
	}
	return h, j.forget()
}

func (j *joining) keys() claim.Keys {
	return claim.Keys{TLS: publicKey(j.attempt.key), Link: j.Link, Log: j.LogKey}
}

// unfit is an answer that no hub gives which this box may trust.
type unfit struct{ what string }

func (u *unfit) Error() string { return u.what }

// resume goes on with the attempt in the file, or begins one.
func (j *joining) resume() error {
	var a attempt
	err := readFile(j.folder, claimFile, &a)
	if err == nil {
		err = a.open(j.Applicant)
	}
	switch {
	case err == nil:
		j.attempt = a
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		j.log.Info("an earlier claim is given up", "why", err)
	}
	return j.anew()
}

// anew begins an attempt with new keys: what was shown once may not be committed to again.
func (j *joining) anew() error {
	a, err := newAttempt(j.Applicant)
	if err != nil {
		return err
	}
	j.attempt, j.code = a, ""
	return j.store()
}

func (j *joining) store() error {
	if err := writeFile(j.folder, claimFile, j.attempt); err != nil {
		return fmt.Errorf("store the claim: %w", err)
	}
	return nil
}

func (j *joining) forget() error {
	if err := removeFile(j.folder, claimFile); err != nil {
		return fmt.Errorf("remove the claim: %w", err)
	}
	return nil
}

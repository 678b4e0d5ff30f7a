package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"tapward/gateway"
	"tapward/gateway/handoff"
	"tapward/gateway/store"
	"tapward/sync/bundle"
	"tapward/sync/claim"
	"tapward/sync/enrol"
	"tapward/sync/outbox"
	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

// hospital is the box's way to the hub: from asking to be one of its boxes to sending it the log. Nothing of it is on the
// path of a tap, and whatever fails on the way is shown and tried again; only a log that cannot be read ends the ward.
type hospital struct {
	config    Config
	keys      secrets
	db        *store.Store
	engine    *handoff.Engine
	witnesses *witnesses
	log       *slog.Logger
}

// errLog says that the box's own log failed, not the way to the hospital.
var errLog = errors.New("send the log")

// run returns at once where no uplink is configured.
func (h hospital) run(ctx context.Context) error {
	if h.config.Uplink == nil {
		return nil
	}
	e := h.join(ctx)
	if e == nil {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := e.Run(ctx); err != nil {
			h.log.Error("The certificate is no longer renewed: restart the box before it ends", "ends", e.Standing().Ends, "err", err)
		}
		return nil
	})
	g.Go(func() error {
		for ctx.Err() == nil {
			err := h.connect(ctx, e)
			if errors.Is(err, errLog) {
				return err
			}
			if err != nil {
				h.failed(ctx, gateway.UplinkCutOff, err)
			}
		}
		return nil
	})
	return g.Wait()
}

// askAgain is the longest time until what needs a person is tried again.
const askAgain = 5 * time.Minute

// failed shows why there is no way on, and waits until it makes sense to try again.
func (h hospital) failed(ctx context.Context, state gateway.UplinkState, err error) {
	if ctx.Err() != nil {
		return
	}
	wait := jitter(askAgain)
	h.log.Error("There is no way to the hub", "why", err, "again", wait.Round(time.Second))
	h.engine.Uplink(ctx, gateway.Uplink{State: state, Since: time.Now(), Why: err.Error()})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// join has the box enrolled, however long it takes a person to confirm it; nil: ctx ended first.
func (h hospital) join(ctx context.Context) *enrol.Enrolment {
	folder, began := filepath.Join(h.config.Data, "uplink"), time.Now()
	show := func(p enrol.Progress) {
		h.engine.Uplink(ctx, gateway.Uplink{State: gateway.UplinkJoining, Since: began, Code: p.Code.String(), Why: p.Trouble})
	}
	for ctx.Err() == nil {
		err := os.MkdirAll(folder, 0o700)
		var e *enrol.Enrolment
		if err == nil {
			show(enrol.Progress{})
			e, err = enrol.Join(ctx, folder, h.applicant(), show, h.log)
		}
		if err == nil {
			err = h.fits(e.Trust(), folder)
		}
		if err == nil {
			return e
		}
		h.failed(ctx, gateway.UplinkJoining, err)
	}
	return nil
}

func (h hospital) applicant() enrol.Applicant {
	return enrol.Applicant{
		Subject: claim.Subject{Kind: claim.Box, Site: h.config.Uplink.Site, ID: string(h.config.Box)},
		Ward:    h.config.Ward, Hub: h.config.Uplink.Hub, Pin: h.config.Uplink.CA,
		Link: h.keys.link.Fingerprint(), Log: h.keys.log, LogKey: h.keys.public,
	}
}

// fits compares an enrolment, which may be old, with the configuration, which may be new.
func (h hospital) fits(t enrol.Trust, folder string) error {
	if !t.Hub.Pinned(h.config.Uplink.CA) {
		return fmt.Errorf("the box was enrolled with a hub of another CA than uplink.ca names: mend the configuration, or remove %s to enrol anew", folder)
	}
	if t.Ward != h.config.Ward {
		h.log.Error("The box was enrolled for another ward: the hub decides for that one until the box is enrolled anew",
			"enrolled", t.Ward, "configured", h.config.Ward, "folder", folder)
	}
	return nil
}

// connect keeps the connection and sends the log, until ctx ends or the hub is found elsewhere.
func (h hospital) connect(ctx context.Context, e *enrol.Enrolment) error {
	trust := e.Trust()
	client, err := h.client(e, trust)
	if err != nil {
		return err
	}
	box, err := h.outbox(client, trust)
	if err != nil {
		return err
	}
	releases, err := h.releases(ctx, client, trust)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	ctx, moved := context.WithCancel(ctx)
	defer moved()
	g.Go(func() error { return client.Run(ctx) })
	g.Go(func() error {
		if err := box.Run(ctx); err != nil {
			return fmt.Errorf("%w: %w", errLog, err)
		}
		return nil
	})
	g.Go(func() error {
		receipt := func(m upstream.Message) { box.Receipt(ctx, m.Payload) }
		return client.Watch(ctx, receipt, upstream.Entry{Bucket: uplink.ReceiptBucket, Key: h.address().Key()})
	})
	g.Go(func() error { return releases.Run(ctx) })
	g.Go(func() error {
		defer moved()
		return renewed(ctx, e, trust, client)
	})
	g.Go(func() error { return h.show(ctx, client, box, releases, e) })
	return g.Wait()
}

func (h hospital) address() uplink.Address {
	return uplink.Address{Site: h.config.Uplink.Site, Box: h.config.Box}
}

func (h hospital) client(e *enrol.Enrolment, t enrol.Trust) (*upstream.Client, error) {
	certificates, err := t.Hub.Roots()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, c := range certificates {
		roots.AddCert(c)
	}
	return upstream.New(upstream.Config{
		Address: h.address(), URLs: t.Hub.Brokers, Roots: roots,
		Certificate: func() (*tls.Certificate, error) { return e.Certificate(), nil },
	}, h.log)
}

func (h hospital) outbox(client *upstream.Client, t enrol.Trust) (*outbox.Outbox, error) {
	stored, err := uplink.NewStoredVerifier(t.Hub.Stored)
	if err != nil {
		return nil, err
	}
	return outbox.New(outbox.Config{
		Address: h.address(), Log: h.db, Broker: subjectBroker{client, h.address().AuditSubject()},
		Signer: h.keys.log, Box: h.keys.own, Hub: stored, Logger: h.log,
		Witnessed: h.witnesses.hospital, Record: h.engine.Record,
	})
}

// subjectBroker is the client as the outbox wants it.
type subjectBroker struct {
	*upstream.Client
	subject string
}

func (b subjectBroker) Newest(ctx context.Context) (outbox.Newest, error) {
	m, err := b.Last(ctx, uplink.AuditStream, b.subject)
	if errors.Is(err, upstream.ErrNone) {
		return outbox.Newest{}, nil
	}
	return outbox.Newest{Header: m.Header, Payload: m.Payload, Sequence: m.Sequence}, err
}

// renewed has each new certificate used, and returns when one came with another place of the hub.
func renewed(ctx context.Context, e *enrol.Enrolment, was enrol.Trust, client *upstream.Client) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.Changed():
		}
		is := e.Trust().Hub
		if !slices.Equal(is.Brokers, was.Hub.Brokers) || !slices.EqualFunc(is.CA, was.Hub.CA, slices.Equal[[]byte]) {
			return nil
		}
		client.Renewed()
	}
}

// showEach is how often what the station shows is looked at, besides changes of the connection.
const showEach = 2 * time.Second

// show tells the station how it stands, until ctx ends.
func (h hospital) show(ctx context.Context, client *upstream.Client, box *outbox.Outbox, releases *bundle.Bundle, e *enrol.Enrolment) error {
	tick := time.NewTicker(showEach)
	defer tick.Stop()
	var shown gateway.Uplink
	for {
		changed := client.Changed()
		if now := standing(client.State(), box.State(), releases.State(), e.Standing()); now != shown {
			h.engine.Uplink(ctx, now)
			shown = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
	}
}

func standing(c upstream.State, o outbox.State, r bundle.State, e enrol.Standing) gateway.Uplink {
	u := gateway.Uplink{
		State: gateway.UplinkConnected, Since: c.Since, Why: cmp.Or(o.Failing, refused(r)),
		Waiting: o.Unstored, Oldest: o.Oldest, Trouble: o.Trouble, Heard: r.Issued, CertificateEnds: e.Ends,
	}
	if !c.Connected {
		u.State, u.Why = gateway.UplinkCutOff, c.Why
	}
	if u.Trouble == "" && e.Refused {
		u.Trouble = "The hospital does not renew this box's certificate. Call IT: " + e.Trouble
	}
	return u
}

package enrol

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tapward/sync/claim"
	"tapward/sync/hub/database"
)

// Config is what a Registrar goes by. The zero value of a duration means its default.
type Config struct {
	Site    string
	Release ed25519.PublicKey // of policies and revocations
	Stored  string            // verifier key of the cosignature that means "stored"
	Brokers []string          // tls://host:port, as boxes reach them
	URL     string            // https://host:port, where Serve is reached

	Walkins  bool                // boxes may ask that no list announced, while no list is in force
	Admins   []ed25519.PublicKey // who may sign lists of expected boxes
	Patience time.Duration       // how long a box that no list announced waits for a person; default 10 minutes
	Lifetime time.Duration       // of certificates; default 7 days
	Ask      time.Duration       // how often a box that waits asks; default 2 seconds
}

const (
	defaultPatience = 10 * time.Minute
	defaultLifetime = 7 * 24 * time.Hour
	defaultAsk      = 2 * time.Second
)

// Registrar keeps the allow list. Several, each of one hub, may share a database. Its methods may be called at the same
// time; those that decide are done when they return, also if the hub dies then.
type Registrar struct {
	db      *database.DB
	issuer  Issuer
	config  Config
	hub     claim.Hub
	told    Told
	log     *slog.Logger
	limits  *limits
	decided chan struct{} // an event waits
}

// New checks what it is given; it starts nothing.
func New(db *database.DB, issuer Issuer, c Config, told Told, log *slog.Logger) (*Registrar, error) {
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.Lifetime == 0 {
		c.Lifetime = defaultLifetime
	}
	if c.Ask == 0 {
		c.Ask = defaultAsk
	}
	hub := claim.Hub{Site: c.Site, Release: c.Release, Stored: c.Stored, Brokers: c.Brokers, Enrol: c.URL}
	for _, root := range issuer.Roots() {
		hub.CA = append(hub.CA, root.Raw)
	}
	if err := hub.Valid(); err != nil {
		return nil, fmt.Errorf("set up enrolment: %w", err)
	}
	if told.Record == nil {
		return nil, errors.New("set up enrolment: nobody takes its events")
	}
	return &Registrar{
		db: db, issuer: issuer, config: c, hub: hub, told: told, log: log,
		limits: newLimits(), decided: make(chan struct{}, 1),
	}, nil
}

const (
	sweepEvery = 10 * time.Second
	keepEnded  = 24 * time.Hour // claims, for those who ask what became of one
)

// Run tells events, ends claims whose time is over, and forgets old ones, until ctx ends.
func (r *Registrar) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := errors.Join(r.endOverdue(ctx), r.tell(ctx)); err != nil && ctx.Err() == nil {
			r.log.Error("enrolment events wait", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.decided:
		case <-tick.C:
		}
	}
}

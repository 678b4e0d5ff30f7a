package enrol

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"tapward/sync/claim"
)

// EventKind says what was decided or noticed.
type EventKind string

const (
	Claimed       EventKind = "enrol.claimed"        // a newcomer showed its keys and waits for a person
	Confirmed     EventKind = "enrol.confirmed"      // a person saw the same code on both sides
	Declined      EventKind = "enrol.declined"       // a person said no
	WrongCode     EventKind = "enrol.wrong-code"     // a person found another code: somebody may stand between
	Lapsed        EventKind = "enrol.lapsed"         // nobody confirmed in time
	Turned        EventKind = "enrol.turned-away"    // refused before a person was asked
	Issued        EventKind = "enrol.issued"         // the first certificate
	Renewed       EventKind = "enrol.renewed"        // a further one
	RenewedLate   EventKind = "enrol.renewed-late"   // a further one, to a box whose certificate had expired
	RenewedBehind EventKind = "enrol.renewed-behind" // a further one, for the key before the newest: its answer was lost, or the key copied
	RenewRefused  EventKind = "enrol.renew-refused"
	TokenRefused  EventKind = "enrol.token-refused"
	Announced     EventKind = "enrol.announced" // a signed list of expected boxes
	Revoked       EventKind = "enrol.revoked"
	Reinstated    EventKind = "enrol.reinstated" // a revocation was undone
	Vacated       EventKind = "enrol.vacated"    // the name is free for another box; the old keys stay out
)

// Event is one decision: who, what, when. It names no secret.
type Event struct {
	ID      int64 // rises; the same event may be told more than once, with the same ID
	At      time.Time
	Kind    EventKind
	Person  string        // who decided; empty where the newcomer or the hub itself did
	Subject claim.Subject // zero of a whole list
	Words   string
}

// Told is who hears of events. Each is told at least once, in order, also after a crash; where one fails, it and what
// follows are told again later.
type Told struct {
	// Record puts it into the hub's own audit.
	Record func(context.Context, Event) error
	// Cut ends the live connections of a subject that was revoked; nil: nobody holds any. It is called at once, before
	// anything else is told, and again in the event's turn; perhaps both at the same time.
	Cut func(context.Context, claim.Subject) error
}

func (r *Registrar) event(ctx context.Context, tx *sql.Tx, kind EventKind, person string, s claim.Subject, format string, args ...any) error {
	subject := ""
	if s != (claim.Subject{}) {
		subject = s.URI().String()
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO enrol_event (at, kind, person, subject, words, told) VALUES ($1, $2, $3, $4, $5, 0)`,
		time.Now().UnixNano(), kind, person, subject, fmt.Sprintf(format, args...))
	return err
}

// notice records what was refused, and does more in the same transaction. It must not keep the refusal from being
// answered. Refusals that come too fast are logged only.
func (r *Registrar) notice(ctx context.Context, kind EventKind, s claim.Subject, why error, more ...func(*sql.Tx) error) {
	ctx = context.WithoutCancel(ctx)
	record := r.limits.notices.Allow()
	if !record {
		r.log.Warn("enrolment refused", "kind", string(kind), "subject", s.String(), "why", why)
	}
	err := r.decide(ctx, s, func(tx *sql.Tx) error {
		for _, do := range more {
			if err := do(tx); err != nil {
				return err
			}
		}
		if !record {
			return nil
		}
		return r.event(ctx, tx, kind, "", s, "%v", why)
	})
	if err != nil {
		r.log.Error("enrolment: a refusal was not recorded", "subject", s.String(), "error", err)
	}
}

const tellAtOnce = 100

// tell gives away the events that wait.
func (r *Registrar) tell(ctx context.Context) error {
	for {
		events, err := r.untold(ctx)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			if err := r.tellOne(ctx, e); err != nil {
				return fmt.Errorf("tell event %d: %w", e.ID, err)
			}
		}
	}
}

func (r *Registrar) tellOne(ctx context.Context, e Event) error {
	if e.Kind == Revoked && r.told.Cut != nil {
		if err := r.told.Cut(ctx, e.Subject); err != nil {
			return fmt.Errorf("cut the connections of %s: %w", e.Subject, err)
		}
	}
	if err := r.told.Record(ctx, e); err != nil {
		return err
	}
	_, err := r.db.ExecContext(ctx, `UPDATE enrol_event SET told = $1 WHERE id = $2`, time.Now().UnixNano(), e.ID)
	return err
}

func (r *Registrar) untold(ctx context.Context) (events []Event, err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT id, at, kind, person, subject, words FROM enrol_event WHERE told = 0 ORDER BY id LIMIT $1`, tellAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e Event
		var at int64
		var subject string
		if err := rows.Scan(&e.ID, &at, &e.Kind, &e.Person, &subject, &e.Words); err != nil {
			return nil, err
		}
		e.At = time.Unix(0, at)
		if subject != "" {
			if e.Subject, err = claim.ParseURI(subject); err != nil {
				return nil, err
			}
		}
		events = append(events, e)
	}
	return events, rows.Err()
}

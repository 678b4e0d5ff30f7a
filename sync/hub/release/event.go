package release

import (
	"context"
	"database/sql"
	"time"
)

// EventKind says what was decided.
type EventKind string

const (
	PolicyReleased EventKind = "release.policy"
	Revoked        EventKind = "release.revoked"
	Compacted      EventKind = "release.compacted"   // the hub left out what no longer matters
	Lost           EventKind = "release.lost"        // boxes run newer revocations than hub and broker know: both were restored
	Disbelieved    EventKind = "release.disbelieved" // a box says it runs revocations that no hub can have given
	Adopted        EventKind = "release.adopted"     // the broker had newer releases than the database: it was restored
)

// Event is one decision. Subject may name a person, Words do not.
type Event struct {
	ID      int64 // rises; the same event may be told more than once, with the same ID
	At      time.Time
	Kind    EventKind
	Person  string // who decided; empty where the hub itself did
	Subject string
	Words   string
}

// Events is the hub's own audit. Each event is told at least once, in order, also after a crash; where one fails, it and
// what follows are told again later.
type Events interface {
	Record(ctx context.Context, e Event) error
}

func record(ctx context.Context, tx *sql.Tx, kind EventKind, person, subject, words string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO release_event (at, kind, person, subject, words, told) VALUES ($1, $2, $3, $4, $5, 0)`,
		time.Now().UnixNano(), string(kind), person, subject, words)
	return err
}

const tellAtOnce = 100

// tellAll gives away the events that wait, and those of a life before.
func (r *Releases) tellAll(ctx context.Context) {
	for r.again(ctx, "tell what was released", r.tell) {
		select {
		case <-ctx.Done():
			return
		case <-r.happened:
		}
	}
}

func (r *Releases) tell(ctx context.Context) error {
	for {
		events, err := r.untold(ctx)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			if err := r.events.Record(ctx, e); err != nil {
				return err
			}
			if _, err := r.db.ExecContext(ctx, `UPDATE release_event SET told = $1 WHERE id = $2`, time.Now().UnixNano(), e.ID); err != nil {
				return err
			}
			r.news()
		}
	}
}

func (r *Releases) untold(ctx context.Context) (events []Event, err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT id, at, kind, person, subject, words FROM release_event WHERE told = 0 ORDER BY id LIMIT $1`, tellAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e Event
		var at int64
		if err := rows.Scan(&e.ID, &at, &e.Kind, &e.Person, &e.Subject, &e.Words); err != nil {
			return nil, err
		}
		e.At = time.Unix(0, at)
		events = append(events, e)
	}
	return events, rows.Err()
}

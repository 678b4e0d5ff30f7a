package export

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tapward/sync/hub/database"
)

// Ledger is what is known about every feed, kept in the hub's database. Programs other than the one that delivers may use
// it too; the running feed notices.
type Ledger struct{ db *database.DB }

// NewLedger makes a ledger in an open database.
func NewLedger(db *database.DB) *Ledger { return &Ledger{db} }

// ErrNoFeed says that there never was a feed of this name.
var ErrNoFeed = errors.New("there is no such feed")

// errMoved says that somebody else moved the feed meanwhile. What the receiver got before will come to it once more.
var errMoved = errors.New("the feed stands elsewhere by now")

// Standing is how far a feed is.
type Standing struct {
	Feed      string
	Place     int64     // in the archive: every record up to it is delivered, sent or dead
	Delivered int64     // records that the receiver confirmed; one that was sent again counts again
	Sent      int64     // records that went to a receiver that cannot confirm: never to be called delivered
	Refused   int       // the newest in a row that it refused
	Dead      int64     // dead letters
	Answered  time.Time // when it last took a record; zero: never
	Trouble   string    // why it stands still, in the receiver's words where it had any; empty: it does not
	Troubled  time.Time // since when
}

// Lag is how many places of the archive a feed has still to go through. settled is Archive.Settled.
func (s Standing) Lag(settled int64) int64 { return max(settled-s.Place, 0) }

const selectStanding = `
SELECT name, place, delivered, sent, refused, answered, trouble, troubled,
       (SELECT count(*) FROM export_dead d WHERE d.feed = f.name)
FROM export_feed f`

func scanStanding(scan func(...any) error) (s Standing, err error) {
	var answered, troubled int64
	err = scan(&s.Feed, &s.Place, &s.Delivered, &s.Sent, &s.Refused, &answered, &s.Trouble, &troubled, &s.Dead)
	s.Answered, s.Troubled = moment(answered), moment(troubled)
	return s, err
}

func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// Standings lists every feed that there ever was, by name.
func (l *Ledger) Standings(ctx context.Context) (all []Standing, err error) {
	rows, err := l.db.QueryContext(ctx, selectStanding+` ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list feeds: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		s, err := scanStanding(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list feeds: %w", err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list feeds: %w", err)
	}
	return all, nil
}

// Standing says how far one feed is.
func (l *Ledger) Standing(ctx context.Context, feed string) (Standing, error) {
	s, err := scanStanding(l.db.QueryRowContext(ctx, selectStanding+` WHERE name = $1`, feed).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoFeed
	}
	if err != nil {
		return Standing{}, fmt.Errorf("feed %s: %w", feed, err)
	}
	return s, nil
}

// Move makes a feed go on behind a place: 0 sends everything that the archive still keeps once more. Place says which
// one a time has.
func (l *Ledger) Move(ctx context.Context, feed string, place int64) error {
	return l.change(ctx, "move", feed, `UPDATE export_feed SET place = $2, refused = 0 WHERE name = $1`, feed, place)
}

// Resume lets a feed go on that stands still because its receiver refused too many records in a row: those that it
// refuses now go to the dead letters, until there are as many again.
func (l *Ledger) Resume(ctx context.Context, feed string) error {
	return l.change(ctx, "resume", feed, `UPDATE export_feed SET refused = 0 WHERE name = $1`, feed)
}

func (l *Ledger) change(ctx context.Context, what, feed, statement string, args ...any) error {
	done, err := l.db.ExecContext(ctx, statement, args...)
	if err == nil {
		if n, _ := done.RowsAffected(); n == 0 {
			err = ErrNoFeed
		}
	}
	if err != nil {
		return fmt.Errorf("%s feed %s: %w", what, feed, err)
	}
	return nil
}

// begin makes a feed known, once.
func (l *Ledger) begin(ctx context.Context, feed string, place int64) error {
	_, err := l.db.ExecContext(ctx, `INSERT INTO export_feed (name, place) VALUES ($1, $2) ON CONFLICT DO NOTHING`, feed, place)
	return err
}

// step is what came of one delivery.
type step struct {
	from, to        int64 // places
	delivered, sent int
	refused         int // in a row, as it stands now
	dead            []Dead
	at              time.Time
}

// advance makes a step true, whole or not at all.
func (l *Ledger) advance(ctx context.Context, feed string, s step) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	answered := int64(0)
	if s.delivered+s.sent > 0 {
		answered = s.at.UnixNano()
	}
	done, err := tx.ExecContext(ctx, `
UPDATE export_feed SET place = $3, delivered = delivered + $4, sent = sent + $5, refused = $6,
       answered = CASE WHEN $7 > answered THEN $7 ELSE answered END, trouble = '', troubled = 0
WHERE name = $1 AND place = $2`, feed, s.from, s.to, s.delivered, s.sent, s.refused, answered)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errMoved)
	}
	for _, d := range s.dead {
		if err := bury(ctx, tx, d, s.at); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// trouble writes down why a feed stands still.
func (l *Ledger) trouble(ctx context.Context, feed, why string, at time.Time) error {
	_, err := l.db.ExecContext(ctx, `
UPDATE export_feed SET trouble = $2, troubled = CASE WHEN troubled = 0 THEN $3 ELSE troubled END WHERE name = $1`,
		feed, why, at.UnixNano())
	return err
}

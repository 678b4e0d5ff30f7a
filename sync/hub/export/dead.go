package export

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Dead is a dead letter: a record that a receiver refused for what it is.
type Dead struct {
	Feed        string
	Seq         int64  // the record's place in the archive
	Record      string // its name
	Kind        string
	Words       string // the receiver's
	First, Last time.Time
	Times       int  // it was refused
	Retry       bool // somebody asked for another try, which is still to come
}

// Dead lists at most limit dead letters of a feed behind a place, in the archive's order.
func (l *Ledger) Dead(ctx context.Context, feed string, after int64, limit int) ([]Dead, error) {
	dead, err := l.letters(ctx, `WHERE feed = $1 AND seq > $2 ORDER BY seq LIMIT $3`, feed, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list dead letters of %s: %w", feed, err)
	}
	return dead, nil
}

func (l *Ledger) letters(ctx context.Context, which string, args ...any) (dead []Dead, err error) {
	rows, err := l.db.QueryContext(ctx, `SELECT feed, seq, record, kind, words, first, last, times, retry FROM export_dead `+which, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d Dead
		var first, last int64
		if err := rows.Scan(&d.Feed, &d.Seq, &d.Record, &d.Kind, &d.Words, &first, &last, &d.Times, (*flag)(&d.Retry)); err != nil {
			return nil, err
		}
		d.First, d.Last = moment(first), moment(last)
		dead = append(dead, d)
	}
	return dead, rows.Err()
}

// flag is a truth kept as 0 or 1, which both engines know.
type flag bool

func (f *flag) Scan(v any) error {
	n, ok := v.(int64)
	*f = n != 0
	if !ok {
		return fmt.Errorf("%T is no flag", v)
	}
	return nil
}

// Retry asks for another try of dead letters, all of the feed where none is named. The feed sends them when it comes round;
// those that are refused again stay. n is how many there are.
func (l *Ledger) Retry(ctx context.Context, feed string, seqs ...int64) (n int64, err error) {
	return l.each(ctx, "retry", `UPDATE export_dead SET retry = 1 WHERE feed = $1`, feed, seqs)
}

// Dismiss gives dead letters up, all of the feed where none is named: the receiver will never get these records.
func (l *Ledger) Dismiss(ctx context.Context, feed string, seqs ...int64) (n int64, err error) {
	return l.each(ctx, "dismiss", `DELETE FROM export_dead WHERE feed = $1`, feed, seqs)
}

func (l *Ledger) each(ctx context.Context, what, statement, feed string, seqs []int64) (n int64, err error) {
	exec := func(statement string, args ...any) error {
		done, err := l.db.ExecContext(ctx, statement, args...)
		if err != nil {
			return fmt.Errorf("%s dead letters of %s: %w", what, feed, err)
		}
		some, err := done.RowsAffected()
		n += some
		return err
	}
	if len(seqs) == 0 {
		return n, exec(statement, feed)
	}
	for _, seq := range seqs {
		if err := exec(statement+` AND seq = $2`, feed, seq); err != nil {
			return n, err
		}
	}
	return n, nil
}

// wanted lists dead letters that somebody wants to be tried again.
func (l *Ledger) wanted(ctx context.Context, feed string, limit int) ([]Dead, error) {
	return l.letters(ctx, `WHERE feed = $1 AND retry = 1 ORDER BY seq LIMIT $2`, feed, limit)
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// bury writes a refusal down; one of the same record before it counts on.
func bury(ctx context.Context, tx execer, d Dead, at time.Time) error {
	_, err := tx.ExecContext(ctx, `
INSERT INTO export_dead (feed, seq, record, kind, words, first, last, times) VALUES ($1, $2, $3, $4, $5, $6, $6, 1)
ON CONFLICT (feed, seq) DO UPDATE SET words = excluded.words, last = excluded.last, times = export_dead.times + 1, retry = 0`,
		d.Feed, d.Seq, d.Record, d.Kind, d.Words, at.UnixNano())
	return err
}

// raise takes a dead letter away that the receiver has taken after all.
func (l *Ledger) raise(ctx context.Context, d Dead, confirmed bool, at time.Time) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `DELETE FROM export_dead WHERE feed = $1 AND seq = $2`, d.Feed, d.Seq); err != nil {
		return err
	}
	count := "sent"
	if confirmed {
		count = "delivered"
	}
	if _, err := tx.ExecContext(ctx, `UPDATE export_feed SET `+count+` = `+count+` + 1, refused = 0, answered = $2 WHERE name = $1`,
		d.Feed, at.UnixNano()); err != nil {
		return err
	}
	return tx.Commit()
}

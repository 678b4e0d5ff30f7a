package release

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tapward/gateway"
	"tapward/sync/uplink"
)

// Standing is what a box last said of itself.
type Standing struct {
	Box    gateway.BoxID
	Heard  time.Time // when the broker had it, by the broker's clock
	Report uplink.Report
}

// Standings are those of all boxes that ever reported, ordered by id. It waits, some seconds, until the broker has
// answered.
func (r *Releases) Standings(ctx context.Context) ([]Standing, error) {
	waiting, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	select {
	case <-r.listed:
	case <-waiting.Done():
		return nil, errors.Join(errors.New("the broker has not told the boxes' reports yet"), waiting.Err())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.reports), func(a, b Standing) int { return cmp.Compare(a.Box, b.Box) }), nil
}

// Changed is closed when the next reports are in, or something was sent or told.
func (r *Releases) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

func (r *Releases) news() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}

// reportsAtOnce are noted in one transaction.
const reportsAtOnce = 512

// listen follows the boxes' reports.
func (r *Releases) listen(ctx context.Context) {
	if !r.again(ctx, "read how far releases have got", r.loadReached) {
		return
	}
	r.again(ctx, "follow the boxes' reports", func(ctx context.Context) error {
		err := r.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
}

func (r *Releases) follow(ctx context.Context) error {
	bucket, err := r.broker.JetStream().KeyValue(ctx, uplink.ReportBucket)
	if err != nil {
		return err
	}
	watcher, err := bucket.Watch(ctx, r.config.Site+".*")
	if err != nil {
		return err
	}
	defer watcher.Stop()
	for {
		var batch []Standing
		ended, all := false, false
		take := func(entry jetstream.KeyValueEntry, ok bool) {
			switch {
			case !ok:
				ended = true
			case entry == nil:
				all = true
			default:
				if s, ok := r.read(entry); ok {
					batch = append(batch, s)
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-watcher.Updates():
			take(entry, ok)
		}
		for more := true; more && !ended && len(batch) < reportsAtOnce; {
			select {
			case entry, ok := <-watcher.Updates():
				take(entry, ok)
			default:
				more = false
			}
		}
		if !r.again(ctx, "note how far releases have got", func(ctx context.Context) error { return r.note(ctx, batch) }) {
			return nil
		}
		if all {
			r.markListed()
		}
		if ended {
			return errors.New("the broker ended the watch")
		}
	}
}

func (r *Releases) read(entry jetstream.KeyValueEntry) (Standing, bool) {
	_, box, _ := strings.Cut(entry.Key(), ".")
	report, err := uplink.ParseReport(entry.Value())
	if err != nil {
		r.log.Warn("A box's report cannot be read", "box", box, "err", err)
		return Standing{}, false
	}
	return Standing{gateway.BoxID(box), entry.Created(), report}, true
}

func (r *Releases) markListed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.listed:
	default:
		close(r.listed)
	}
}

// note keeps the reports, and in the database the first time that a box was heard to run a version. One that this hub has
// not given, as after a restore from a backup, says nothing of what it gives later.
func (r *Releases) note(ctx context.Context, batch []Standing) error {
	type step struct {
		progress
		version uint64
		heard   time.Time
	}
	var steps []step
	newest, err := r.newest(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	reached := maps.Clone(r.reached)
	r.mu.Unlock()
	for _, s := range batch {
		for _, kind := range uplink.Kinds {
			p, version := progress{s.Box, kind}, s.Report.Applied[kind].Version
			if version > reached[p] && version <= newest[kind] {
				reached[p] = version
				steps = append(steps, step{p, version, s.Heard})
			}
		}
	}
	if len(steps) > 0 {
		tx, err := r.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for _, s := range steps {
			_, err := tx.ExecContext(ctx, `INSERT INTO release_reach (box, kind, version, heard) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
				string(s.box), string(s.kind), int64(s.version), s.heard.UnixNano())
			if err != nil {
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.reached = reached
	for _, s := range batch {
		r.reports[s.Box] = s
	}
	r.mu.Unlock()
	if len(batch) > 0 {
		r.news()
	}
	return nil
}

// newest is the newest version given out of each kind.
func (r *Releases) newest(ctx context.Context) (map[uplink.Kind]uint64, error) {
	rows, err := r.db.QueryContext(ctx, `SELECT kind, version FROM release_turn`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[uplink.Kind]uint64{}
	for rows.Next() {
		var kind uplink.Kind
		var version int64
		if err := rows.Scan(&kind, &version); err != nil {
			return nil, err
		}
		all[kind] = uint64(version)
	}
	return all, rows.Err()
}

func (r *Releases) loadReached(ctx context.Context) error {
	rows, err := r.db.QueryContext(ctx, `SELECT box, kind, max(version) FROM release_reach GROUP BY box, kind`)
	if err != nil {
		return err
	}
	defer rows.Close()
	all := map[progress]uint64{}
	for rows.Next() {
		var p progress
		var version int64
		if err := rows.Scan(&p.box, &p.kind, &version); err != nil {
			return err
		}
		all[p] = uint64(version)
	}
	r.mu.Lock()
	r.reached = all
	r.mu.Unlock()
	return rows.Err()
}

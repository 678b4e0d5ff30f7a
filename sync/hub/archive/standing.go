package archive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tapward/gateway/audit"
)

// Standing is how far one origin is archived.
type Standing struct {
	Origin
	Size       int64     // records archived, without a gap
	Checkpoint string    // the newest accepted, with the box's signature
	Stored     string    // the same with the hub's cosignature, as it was appended
	Archived   time.Time // when the newest was
	Refused    string    // why nothing more is taken; empty: all is well
}

const selectStanding = `
SELECT o.id, o.site, o.box, o.epoch, o.size, o.checkpoint, o.stored, o.archived, coalesce((
    SELECT i.what FROM incident i WHERE i.site = o.site AND i.box = o.box AND i.epoch = o.epoch AND i.lifted IS NULL
    AND i.quarantines = 1 ORDER BY i.id DESC LIMIT 1), '')
FROM origin o`

func scanStanding(r row) (id int64, s Standing, err error) {
	var archived int64
	err = r.Scan(&id, &s.Site, &s.Box, &s.Epoch, &s.Size, &s.Checkpoint, &s.Stored, &archived, &s.Refused)
	s.Archived = time.Unix(0, archived)
	return id, s, err
}

// Standing says where the archive stands with an origin. One that is not there has size zero; it may be refused all the
// same.
func (a *Archive) Standing(ctx context.Context, o Origin) (Standing, error) {
	_, s, err := a.standing(ctx, a.db, o)
	if err != nil {
		return Standing{}, fmt.Errorf("ask for the archived size of %s: %w", o, err)
	}
	if s.Size == 0 {
		s = Standing{Origin: o}
		if s.Refused, err = a.refused(ctx, o); err != nil {
			return Standing{}, fmt.Errorf("ask for a quarantine of %s: %w", o, err)
		}
	}
	return s, nil
}

// standing also gives the number of the origin in the database; where it is not there, size zero and no error.
func (a *Archive) standing(ctx context.Context, q querier, o Origin) (id int64, s Standing, err error) {
	id, s, err = scanStanding(q.QueryRowContext(ctx, selectStanding+` WHERE o.site = $1 AND o.box = $2 AND o.epoch = $3`,
		o.Site, string(o.Box), int64(o.Epoch)))
	if errors.Is(err, sql.ErrNoRows) {
		return 0, Standing{}, nil
	}
	return id, s, err
}

// Origins lists everything that is archived, by site, box and epoch.
func (a *Archive) Origins(ctx context.Context) ([]Standing, error) {
	_, all, err := a.origins(ctx, a.db)
	if err != nil {
		return nil, fmt.Errorf("list the archive: %w", err)
	}
	return all, nil
}

func (a *Archive) origins(ctx context.Context, q querier) (ids []int64, all []Standing, err error) {
	rows, err := q.QueryContext(ctx, selectStanding+` ORDER BY o.site, o.box, o.epoch`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		id, s, err := scanStanding(rows)
		if err != nil {
			return nil, nil, err
		}
		ids, all = append(ids, id), append(all, s)
	}
	return ids, all, rows.Err()
}

// Tree is the archived tree of an origin, ready to be extended; of one that is not there, the empty one.
func (a *Archive) Tree(ctx context.Context, o Origin) (audit.Tree, error) {
	s, err := a.Standing(ctx, o)
	if err != nil {
		return audit.Tree{}, err
	}
	return audit.OpenTree(o.Epoch, s.Size, a.Hashes(ctx, o))
}

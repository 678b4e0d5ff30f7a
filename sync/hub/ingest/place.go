package ingest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/sync/uplink"
)

// place is how far the messages of one box were read, in one stream.
type place struct {
	stream   int64
	sequence uint64
}

// placeOf is the noted place of a box in the stream of now; zero: nothing of it was read.
func (i *Ingest) placeOf(ctx context.Context, a uplink.Address, made int64) (sequence uint64, err error) {
	i.mu.Lock()
	p, moved := i.moved[a]
	i.mu.Unlock()
	if !moved {
		err = i.Database.QueryRowContext(ctx, `SELECT stream, sequence FROM ingest_place WHERE site = $1 AND box = $2`,
			a.Site, string(a.Box)).Scan(&p.stream, &p.sequence)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return 0, fmt.Errorf("find what was read of %s: %w", a, err)
		}
	}
	if p.stream != made {
		return 0, nil
	}
	return p.sequence, nil
}

// read notes how far a box was read; keepPlaces writes it down.
func (i *Ingest) read(a uplink.Address, reading int, sequence uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if reading == i.source.reading {
		i.moved[a] = place{i.source.made, sequence}
	}
}

// keepPlaces writes places down now and then, and once more at the end: they spare reading and promise nothing.
func (i *Ingest) keepPlaces(ctx context.Context) {
	each := time.NewTicker(keepEvery)
	defer each.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-each.C:
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		if err := i.writePlaces(ctx); err != nil {
			i.Logger.Warn("ingest cannot note what it has read, and would read it again", "err", err)
		}
		cancel()
	}
}

func (i *Ingest) writePlaces(ctx context.Context) error {
	i.mu.Lock()
	moved := i.moved
	i.moved = map[uplink.Address]place{}
	i.mu.Unlock()
	if len(moved) == 0 {
		return nil
	}
	err := i.write(ctx, func(tx *sql.Tx) error {
		for a, p := range moved {
			if _, err := tx.ExecContext(ctx, `
INSERT INTO ingest_place (site, box, stream, sequence) VALUES ($1, $2, $3, $4)
ON CONFLICT (site, box) DO UPDATE SET stream = excluded.stream, sequence = excluded.sequence`,
				a.Site, string(a.Box), p.stream, int64(p.sequence)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for a, p := range moved {
		if _, newer := i.moved[a]; !newer {
			i.moved[a] = p
		}
	}
	return err
}

func (i *Ingest) write(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := i.Database.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// forgetPlacesBeyond forgets all places if one lies beyond the stream's end.
func (i *Ingest) forgetPlacesBeyond(ctx context.Context, made int64, last uint64) (beyond bool, err error) {
	err = i.Database.QueryRowContext(ctx, `SELECT count(*) > 0 FROM ingest_place WHERE stream = $1 AND sequence > $2`,
		made, int64(last)).Scan(&beyond)
	if err == nil && beyond {
		_, err = i.Database.ExecContext(ctx, `DELETE FROM ingest_place WHERE stream = $1`, made)
	}
	if err != nil {
		return false, fmt.Errorf("find what was read: %w", err)
	}
	return beyond, nil
}

// places are the boxes of which something was read.
func (i *Ingest) places(ctx context.Context) (boxes []uplink.Address, err error) {
	rows, err := i.Database.QueryContext(ctx, `SELECT site, box FROM ingest_place`)
	if err != nil {
		return nil, fmt.Errorf("list what was read: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var site, box string
		if err := rows.Scan(&site, &box); err != nil {
			return nil, fmt.Errorf("list what was read: %w", err)
		}
		boxes = append(boxes, uplink.Address{Site: site, Box: gateway.BoxID(box)})
	}
	return boxes, rows.Err()
}

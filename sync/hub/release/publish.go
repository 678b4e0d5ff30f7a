package release

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tapward/sync/uplink"
)

// publishTime is how long the broker may take over one release.
const publishTime = 10 * time.Second

// publishAll compares the broker with the database once, and then publishes every decision at once and the revocations
// anew with every beat.
func (r *Releases) publishAll(ctx context.Context) {
	if !r.again(ctx, "compare the broker's releases with the database's", r.adopt) {
		return
	}
	close(r.compared)
	beat := time.NewTicker(r.config.Beat)
	defer beat.Stop()
	for r.again(ctx, "publish what was released", r.publish) {
		select {
		case <-ctx.Done():
			return
		case <-r.decided:
		case <-beat.C:
		}
	}
}

// publish signs the revocations anew and sees to it that the broker has the newest policy.
func (r *Releases) publish(ctx context.Context) error {
	defer r.news()
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	through, list, err := r.newestRevoked(ctx)
	if err != nil {
		return err
	}
	if through > 0 {
		if err := r.put(ctx, uplink.Revocations, through, list, true); err != nil {
			return err
		}
		if _, err := r.db.ExecContext(ctx, `UPDATE release_revocation SET sent = $1 WHERE sent = 0 AND number <= $2`, time.Now().UnixNano(), int64(through)); err != nil {
			return err
		}
	}
	version, document, err := r.newestPolicy(ctx)
	if err != nil || version == 0 {
		return err
	}
	if err := r.put(ctx, uplink.Policy, version, document, false); err != nil {
		return err
	}
	_, err = r.db.ExecContext(ctx, `UPDATE release_policy SET sent = $1 WHERE sent = 0 AND version <= $2`, time.Now().UnixNano(), int64(version))
	return err
}

// put replaces a release on the broker by a newer one, never the other way round, whoever else publishes at the same
// time. beat: also by the same one signed anew.
func (r *Releases) put(ctx context.Context, kind uplink.Kind, version uint64, body []byte, beat bool) error {
	bucket, err := r.broker.JetStream().KeyValue(ctx, uplink.ReleaseBucket)
	if err != nil {
		return err
	}
	key := uplink.ReleaseKey(kind, r.config.Site, "")
	for {
		there, revision, err := r.there(ctx, bucket, kind)
		if err != nil {
			return err
		}
		if there.Version > version || there.Version == version && !beat {
			return nil
		}
		signed, err := r.sign(kind, version, body, time.Now())
		if err != nil {
			return err
		}
		_, err = bucket.Update(ctx, key, signed, revision)
		if api := (*jetstream.APIError)(nil); errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			continue // another hub was quicker
		}
		return err
	}
}

// there is what the broker has; zero where it has none that this hub signed.
func (r *Releases) there(ctx context.Context, bucket jetstream.KeyValue, kind uplink.Kind) (uplink.Release, uint64, error) {
	entry, err := bucket.Get(ctx, uplink.ReleaseKey(kind, r.config.Site, ""))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return uplink.Release{}, 0, nil
	}
	if err != nil {
		return uplink.Release{}, 0, err
	}
	there, err := uplink.OpenRelease(entry.Value(), r.public())
	if err != nil || there.Kind != kind || there.Site != r.config.Site {
		r.log.Error("The broker holds a release that this hub did not sign; it is replaced", "kind", string(kind), "err", err)
		return uplink.Release{}, entry.Revision(), nil
	}
	return there, entry.Revision(), nil
}

func (r *Releases) sign(kind uplink.Kind, version uint64, body []byte, at time.Time) ([]byte, error) {
	return uplink.SignRelease(uplink.Release{Kind: kind, Site: r.config.Site, Version: version, Issued: at, Body: body}, r.config.Key)
}

// newestPolicy is the newest document; version zero: there is none.
func (r *Releases) newestPolicy(ctx context.Context) (version uint64, document []byte, err error) {
	var v int64
	err = r.db.QueryRowContext(ctx, `SELECT version, document FROM release_policy ORDER BY version DESC LIMIT 1`).Scan(&v, &document)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	return uint64(v), document, err
}

// newestRevoked is the body of the newest list as of one moment.
func (r *Releases) newestRevoked(ctx context.Context) (through uint64, body []byte, err error) {
	tx, err := r.db.Snapshot(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer tx.Rollback()
	var newest int64
	err = tx.QueryRowContext(ctx, `SELECT version FROM release_turn WHERE kind = $1`, string(uplink.Revocations)).Scan(&newest)
	if errors.Is(err, sql.ErrNoRows) || newest == 0 {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	list, err := listed(ctx, tx)
	if err != nil {
		return 0, nil, err
	}
	body, err = uplink.Revoked{Through: uint64(newest), List: list}.Encode()
	return uint64(newest), body, err
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func listed(ctx context.Context, q querier) (list []uplink.Revocation, err error) {
	rows, err := q.QueryContext(ctx, `SELECT number, target, id, reason, decided FROM release_revocation WHERE dropped = 0 ORDER BY number`)
	if err != nil {
		return nil, fmt.Errorf("read revocations: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var v uplink.Revocation
		var decided int64
		if err := rows.Scan(&v.Number, &v.Target, &v.ID, &v.Reason, &decided); err != nil {
			return nil, fmt.Errorf("read revocations: %w", err)
		}
		v.At = time.Unix(0, decided).UTC()
		list = append(list, v)
	}
	return list, rows.Err()
}

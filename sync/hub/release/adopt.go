package release

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tapward/gateway/policy"
	"tapward/sync/uplink"
)

// unknownPerson is who decided what came back from the broker: only the database had known.
const unknownPerson = "unknown: restored from the broker"

// adopt takes into the database what the broker has of this hub and the database lacks, because it was restored from a
// backup. Without it the hub would give the same number twice, and every box would refuse the second.
func (r *Releases) adopt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	bucket, err := r.broker.JetStream().KeyValue(ctx, uplink.ReleaseBucket)
	if err != nil {
		return err
	}
	for kind, take := range map[uplink.Kind]func(context.Context, *sql.Tx, uplink.Release) error{
		uplink.Policy: adoptPolicy, uplink.Revocations: adoptRevoked,
	} {
		if err := r.adoptKind(ctx, bucket, kind, take); err != nil {
			return fmt.Errorf("adopt %s: %w", kind, err)
		}
	}
	signal(r.happened)
	return nil
}

func (r *Releases) adoptKind(ctx context.Context, bucket jetstream.KeyValue, kind uplink.Kind, take func(context.Context, *sql.Tx, uplink.Release) error) error {
	there, _, err := r.there(ctx, bucket, kind)
	if err != nil || there.Version == 0 {
		return err
	}
	return r.turn(ctx, kind, func(tx *sql.Tx, newest uint64) (uint64, error) {
		if there.Version <= newest {
			return newest, nil
		}
		if err := take(ctx, tx, there); err != nil {
			return 0, err
		}
		r.log.Warn("The broker has newer releases than the database, which was restored: they are taken over", "kind", string(kind), "from", newest, "to", there.Version)
		return there.Version, record(ctx, tx, Adopted, "", "", fmt.Sprintf("%s: the database had version %d, the broker %d", kind, newest, there.Version))
	})
}

func adoptPolicy(ctx context.Context, tx *sql.Tx, there uplink.Release) error {
	if _, err := policy.Parse(there.Body); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO release_policy (version, document, decided, person, sent) VALUES ($1, $2, $3, $4, $3)`,
		int64(there.Version), there.Body, there.Issued.UnixNano(), unknownPerson)
	return err
}

// adoptRevoked makes the list exactly what was signed: what it lacks had been left out.
func adoptRevoked(ctx context.Context, tx *sql.Tx, there uplink.Release) error {
	list, err := uplink.ParseRevoked(there.Body)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE release_revocation SET dropped = $1 WHERE dropped = 0`, time.Now().UnixNano()); err != nil {
		return err
	}
	for _, v := range list.List {
		if err := insert(ctx, tx, v, unknownPerson); err != nil {
			return err
		}
	}
	return nil
}

func (r *Releases) public() ed25519.PublicKey { return r.config.Key.Public().(ed25519.PublicKey) }

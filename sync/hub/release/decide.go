package release

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/gateway/policy"
	"tapward/sync/uplink"
)

// Bounds of the list, so that it fits one message of the broker.
const (
	maxListed = 10_000
	maxID     = 128
	maxReason = 64
)

// answerTime is how long a question or a decision waits for the broker's first answer.
const answerTime = 10 * time.Second

// ReleasePolicy gives a policy document with its roster to every box of the site. Its version, the document's own, must be
// above that of every earlier one. It returns when the decision is durable; the boxes hear of it at once.
func (r *Releases) ReleasePolicy(ctx context.Context, document []byte, person string) (version uint64, err error) {
	doc, err := policy.Parse(document)
	switch {
	case err != nil:
		return 0, fmt.Errorf("release policy: %w", err)
	case doc.Site != r.config.Site:
		return 0, fmt.Errorf("release policy: it is of site %q and this hub of %q", doc.Site, r.config.Site)
	case person == "":
		return 0, errors.New("release policy: who decides it must be named")
	}
	if _, err := r.sign(uplink.Policy, doc.Version, document, time.Now()); err != nil {
		return 0, fmt.Errorf("release policy: %w", err)
	}
	err = r.decide(ctx, uplink.Policy, func(tx *sql.Tx, newest uint64) (uint64, error) {
		if doc.Version <= newest {
			return 0, fmt.Errorf("version %d is not above %d, which was released", doc.Version, newest)
		}
		now := time.Now().UnixNano()
		if _, err := tx.ExecContext(ctx, `INSERT INTO release_policy (version, document, decided, person, sent) VALUES ($1, $2, $3, $4, 0)`,
			int64(doc.Version), document, now, person); err != nil {
			return 0, err
		}
		words := fmt.Sprintf("version %d: %d wards, %d readers, %d people; sha256 %x", doc.Version, len(doc.Wards), len(doc.Readers), len(doc.Clinicians), sha256.Sum256(document))
		return doc.Version, record(ctx, tx, PolicyReleased, person, "", words)
	})
	if err != nil {
		return 0, fmt.Errorf("release policy: %w", err)
	}
	return doc.Version, nil
}

// Revoke takes something away on every box of the site: a person, one badge by its keyed hash in hex, or a phone. It
// returns when the decision is durable; the boxes hear of it at once.
func (r *Releases) Revoke(ctx context.Context, target uplink.Target, id string, reason gateway.Reason, person string) (uplink.Revocation, error) {
	v := uplink.Revocation{Target: target, ID: id, Reason: reason}
	if err := valid(v); err != nil {
		return v, fmt.Errorf("revoke: %w", err)
	}
	if person == "" {
		return v, errors.New("revoke: who decides it must be named")
	}
	if target == uplink.Badge {
		v.ID = lower(id)
	}
	enrolled, err := r.boxes.Boxes(ctx)
	if err != nil {
		return v, fmt.Errorf("revoke: %w", err)
	}
	err = r.decide(ctx, uplink.Revocations, func(tx *sql.Tx, newest uint64) (_ uint64, err error) {
		if newest, err = r.catchUp(ctx, tx, newest, enrolled); err != nil {
			return 0, err
		}
		v.Number, v.At = newest+1, time.Now().UTC().Round(0)
		if _, err := tx.ExecContext(ctx, `UPDATE release_revocation SET dropped = $1 WHERE dropped = 0 AND target = $2 AND id = $3`,
			v.At.UnixNano(), string(target), v.ID); err != nil {
			return 0, err
		}
		var listed int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM release_revocation WHERE dropped = 0`).Scan(&listed); err != nil {
			return 0, err
		}
		if listed >= maxListed {
			return 0, fmt.Errorf("%d revocations are listed, which is the most: release a policy without the people who left, so that theirs can go", listed)
		}
		if err := insert(ctx, tx, v, person); err != nil {
			return 0, err
		}
		return v.Number, record(ctx, tx, Revoked, person, string(target)+" "+v.ID, fmt.Sprintf("number %d: a %s; %s", v.Number, target, reason))
	})
	if err != nil {
		return v, fmt.Errorf("revoke: %w", err)
	}
	return v, nil
}

func valid(v uplink.Revocation) error {
	var hash gateway.BadgeHash
	switch {
	case v.Reason == "" || len(v.Reason) > maxReason:
		return fmt.Errorf("a reason of 1 to %d letters must be given", maxReason)
	case v.Target == uplink.Phone && !gateway.ValidLabel(v.ID):
		return fmt.Errorf("a phone's id is %s", gateway.LabelRule)
	case v.Target == uplink.Badge && (len(v.ID) != 2*len(hash) || hash.UnmarshalText([]byte(v.ID)) != nil):
		return errors.New("a badge is named by its keyed hash, 64 hex digits")
	case v.Target == uplink.Clinician && (v.ID == "" || len(v.ID) > maxID):
		return fmt.Errorf("a person's id has 1 to %d letters", maxID)
	case v.Target != uplink.Phone && v.Target != uplink.Badge && v.Target != uplink.Clinician:
		return fmt.Errorf("%q is not a clinician, badge or phone", v.Target)
	}
	return nil
}

func insert(ctx context.Context, tx *sql.Tx, v uplink.Revocation, person string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO release_revocation (number, target, id, reason, decided, person, sent, dropped)
		VALUES ($1, $2, $3, $4, $5, $6, 0, 0) ON CONFLICT (number) DO UPDATE SET dropped = 0`,
		int64(v.Number), string(v.Target), v.ID, string(v.Reason), v.At.UnixNano(), person)
	return err
}

// decide runs do in one transaction, after every other decision of the kind and before the next; do is given the newest
// version and gives the next. Before the broker's releases and the boxes' reports were compared with the database nothing
// is decided: the database may be of last night. It waits for that at most answerTime.
func (r *Releases) decide(ctx context.Context, kind uplink.Kind, do func(tx *sql.Tx, newest uint64) (uint64, error)) error {
	if err := r.answered(ctx); err != nil {
		return err
	}
	if err := r.turn(ctx, kind, do); err != nil {
		return err
	}
	signal(r.decided)
	signal(r.happened)
	return nil
}

// answered waits until the broker's releases were compared with the database and its reports are in.
func (r *Releases) answered(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for _, first := range []<-chan struct{}{r.compared, r.listed} {
		select {
		case <-first:
		case <-ctx.Done():
			return fmt.Errorf("the broker has not answered yet: nothing was decided; try again (%w)", ctx.Err())
		}
	}
	return nil
}

func (r *Releases) turn(ctx context.Context, kind uplink.Kind, do func(tx *sql.Tx, newest uint64) (uint64, error)) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	// Writing the row takes the turn in both engines.
	var newest int64
	err = tx.QueryRowContext(ctx, `INSERT INTO release_turn (kind, version) VALUES ($1, 0)
		ON CONFLICT (kind) DO UPDATE SET version = release_turn.version RETURNING version`, string(kind)).Scan(&newest)
	if err != nil {
		return err
	}
	next, err := do(tx, uint64(newest))
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE release_turn SET version = $1 WHERE kind = $2`, int64(next), string(kind)); err != nil {
		return err
	}
	return tx.Commit()
}

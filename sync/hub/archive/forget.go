package archive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// Forgotten is what an erasure took.
type Forgotten struct {
	Openings int64 // of records
	Evidence int   // incidents whose evidence named the person, and does no longer
	// Unread is how many incidents hold evidence that is no bundle: what it may name cannot be known. Lift them, and the
	// retention takes it.
	Unread int
}

// naming chooses the openings that name a person, with the arguments of namingArgs. Its first and its last part are what
// the index is made for.
const naming = `substr(value, 1, 64) = $1 AND value = $2 AND field IN ($3, $4) AND field <= 3`

func namingArgs(clinician gateway.ClinicianID) []any {
	value := []byte(clinician)
	return []any{value[:min(len(value), 64)], value, numberOf(audit.Clinician), numberOf(audit.Previous)}
}

// Forget erases who a clinician was: their own openings, and the words and receipts of the same records, which may name
// them too. Whoever else such a record names stays. Proofs hold; a verification says that the value is forgotten.
// What the hub's backups and the engine's own logs hold goes with those.
func (a *Archive) Forget(ctx context.Context, clinician gateway.ClinicianID) (forgotten Forgotten, err error) {
	if clinician == "" {
		return Forgotten{}, errors.New("erase who a clinician was: no clinician is named")
	}
	args := namingArgs(clinician)
	err = a.engine.write(ctx, func(tx *sql.Tx) error {
		forgotten = Forgotten{}
		for _, erase := range []struct {
			query string
			args  []any
		}{
			{`DELETE FROM opening WHERE field IN ($5, $6) AND (origin, idx, month) IN (SELECT origin, idx, month FROM opening WHERE ` + naming + `)`,
				append(slices.Clone(args), numberOf(audit.Words), numberOf(audit.Receipt))},
			{`DELETE FROM opening WHERE ` + naming, args},
		} {
			result, err := tx.ExecContext(ctx, erase.query, erase.args...)
			if err != nil {
				return err
			}
			rows, err := result.RowsAffected()
			if err != nil {
				return err
			}
			forgotten.Openings += rows
		}
		return forgetEvidence(ctx, tx, clinician, &forgotten)
	})
	if err == nil {
		err = a.engine.scrub(ctx)
	}
	if err != nil {
		return forgotten, fmt.Errorf("erase who a clinician was: %w", err)
	}
	return forgotten, nil
}

// forgetEvidence takes the person out of the bundles that are kept as evidence: what they prove is in leaves and
// checkpoints.
func forgetEvidence(ctx context.Context, tx *sql.Tx, clinician gateway.ClinicianID, forgotten *Forgotten) error {
	var ids []int64
	err := each(ctx, tx, `SELECT id FROM incident WHERE evidence IS NOT NULL`, nil, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		var evidence []byte
		if err := tx.QueryRowContext(ctx, `SELECT evidence FROM incident WHERE id = $1`, id).Scan(&evidence); err != nil {
			return err
		}
		b, err := audit.DecodeBundle(evidence)
		if err != nil {
			forgotten.Unread++
			continue
		}
		if !withoutPerson(&b, clinician) {
			continue
		}
		if evidence, err = b.Encode(); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE incident SET evidence = $1 WHERE id = $2`, evidence, id); err != nil {
			return err
		}
		forgotten.Evidence++
	}
	return nil
}

// withoutPerson erases in a bundle what Forget erases in the archive, and says whether there was anything.
func withoutPerson(b *audit.Bundle, clinician gateway.ClinicianID) (found bool) {
	for i := range b.Records {
		names := func(o audit.Opening) bool {
			return (o.Field == audit.Clinician || o.Field == audit.Previous) && string(o.Value) == string(clinician)
		}
		r := &b.Records[i]
		if !slices.ContainsFunc(r.Openings, names) {
			continue
		}
		found = true
		r.Openings = slices.DeleteFunc(r.Openings, func(o audit.Opening) bool {
			return names(o) || o.Field == audit.Words || o.Field == audit.Receipt
		})
	}
	return found
}

// dropEvidence takes the evidence of incidents that were lifted, as old as openings may become.
func (a *Archive) dropEvidence(ctx context.Context, now time.Time) error {
	keep := shorter(a.keep.Openings, a.keep.Bodies)
	if keep <= 0 {
		return nil
	}
	return a.engine.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE incident SET evidence = NULL WHERE lifted < $1 AND evidence IS NOT NULL`,
			now.Add(-keep).UnixNano())
		return err
	})
}

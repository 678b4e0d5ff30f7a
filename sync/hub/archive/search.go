package archive

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// Query chooses records that are still kept. What is left at zero does not narrow it; a phone, a person or a time keeps
// a search of many years short.
type Query struct {
	Address   uplink.Address // Box may stay empty: the whole site
	Kinds     []gateway.RecordKind
	Phone     gateway.PhoneID
	Clinician gateway.ClinicianID // whose session it was, or the one before
	From, To  time.Time           // by the box's wall time; To is not included
	Limit     int
}

// Search gives the newest records, by the box's wall time, that a query chooses.
func (a *Archive) Search(ctx context.Context, query Query) ([]Archived, error) {
	tx, err := a.db.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("search the archive: %w", err)
	}
	defer tx.Rollback()
	hits, err := query.run(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("search the archive: %w", err)
	}
	found := make([]Archived, len(hits))
	for i, h := range hits {
		records := []audit.Stored{{Sealed: audit.Sealed{Index: h.first}}}
		if err := fill(ctx, tx, h.id, span{h.month, h.month}, records); err != nil {
			return nil, fmt.Errorf("search the archive: %w", err)
		}
		if found[i], err = h.archivedRecord(h.seq, records[0]); err != nil {
			return nil, fmt.Errorf("search the archive: %w", err)
		}
	}
	return found, nil
}

// run gives each record as a batch of one.
func (query Query) run(ctx context.Context, q querier) (hits []placed, err error) {
	where, args := query.where()
	args = append(args, query.Limit)
	err = each(ctx, q, `
SELECT b.seq + hit.idx - b.first, hit.origin, hit.site, hit.box, hit.epoch, hit.idx, 1, hit.month, b.archived, b.checkpoint
FROM (
    SELECT r.origin, r.idx, r.month, r.at, o.site, o.box, o.epoch FROM body r JOIN origin o ON o.id = r.origin `+where+`
    ORDER BY r.at DESC, r.origin DESC, r.idx DESC LIMIT `+fmt.Sprintf("$%d", len(args))+`
) AS hit JOIN batch b
ON b.origin = hit.origin AND b.first = (SELECT max(first) FROM batch WHERE origin = hit.origin AND first <= hit.idx)
ORDER BY hit.at DESC, hit.origin DESC, hit.idx DESC`, args, func(rows *sql.Rows) error {
		p, err := scanPlaced(rows)
		hits = append(hits, p)
		return err
	})
	return hits, err
}

// where is the condition, with its arguments.
func (query Query) where() (string, []any) {
	var conditions []string
	var args []any
	narrow := func(condition string, values ...any) {
		numbers := make([]any, len(values))
		for i, v := range values {
			args = append(args, v)
			numbers[i] = fmt.Sprintf("$%d", len(args))
		}
		conditions = append(conditions, fmt.Sprintf(condition, numbers...))
	}
	if query.Address.Site != "" {
		narrow(`o.site = %s`, query.Address.Site)
	}
	if query.Address.Box != "" {
		narrow(`o.box = %s`, string(query.Address.Box))
	}
	if len(query.Kinds) > 0 {
		var kinds []any
		for _, k := range query.Kinds {
			kinds = append(kinds, word(string(k)))
		}
		narrow(`r.kind IN (`+strings.TrimSuffix(strings.Repeat(`%s, `, len(kinds)), `, `)+`)`, kinds...)
	}
	if query.Phone != "" {
		narrow(`r.phone = %s AND r.phone <> ''`, word(string(query.Phone)))
	}
	if query.Clinician != "" {
		narrow(`(r.origin, r.idx, r.month) IN (SELECT origin, idx, month FROM opening
    WHERE substr(value, 1, 64) = %s AND value = %s AND field IN (%s, %s) AND field <= 3)`, namingArgs(query.Clinician)...)
	}
	if !query.From.IsZero() {
		narrow(`r.at >= %s`, query.From.UnixNano())
	}
	if !query.To.IsZero() {
		narrow(`r.at < %s`, query.To.UnixNano())
	}
	if len(conditions) == 0 {
		return "", nil
	}
	return `WHERE ` + strings.Join(conditions, ` AND `), args
}

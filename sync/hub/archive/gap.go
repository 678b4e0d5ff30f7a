package archive

import (
	"context"
	"database/sql"
	"fmt"
)

// Gap is a run of records that the archive says it holds and does not: damage, or somebody's hand. End is the index after
// the last one.
type Gap struct {
	Origin      Origin
	Index, End  int64
	MissingBody bool // the hash is there and the record is not, although the retention has left it
}

// Gaps searches the whole archive. None is the only good answer; it takes a while.
func (a *Archive) Gaps(ctx context.Context) (gaps []Gap, err error) {
	tx, err := a.db.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("search for gaps: %w", err)
	}
	defer tx.Rollback()
	ids, all, err := a.origins(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("search for gaps: %w", err)
	}
	for i, s := range all {
		found, err := gapsOf(ctx, tx, ids[i], s)
		if err != nil {
			return nil, fmt.Errorf("search for gaps in %s: %w", s.Origin, err)
		}
		gaps = append(gaps, found...)
	}
	return gaps, nil
}

func gapsOf(ctx context.Context, q querier, id int64, s Standing) (gaps []Gap, err error) {
	for _, t := range []struct {
		table string
		from  string // where its rows begin
	}{
		{"leaf", `0`},
		{"body", `(SELECT min(idx) FROM body WHERE origin = $1)`},
	} {
		err := each(ctx, q, `
SELECT before, idx FROM (
    SELECT idx, lag(idx + 1, 1, `+t.from+`) OVER (ORDER BY idx) AS before
    FROM (SELECT idx FROM `+t.table+` WHERE origin = $1 UNION ALL SELECT size FROM origin WHERE id = $1 AND `+t.from+` IS NOT NULL) AS held
) AS steps WHERE before <> idx ORDER BY idx`, []any{id}, func(rows *sql.Rows) error {
			g := Gap{Origin: s.Origin, MissingBody: t.table == "body"}
			err := rows.Scan(&g.Index, &g.End)
			gaps = append(gaps, g)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return gaps, nil
}

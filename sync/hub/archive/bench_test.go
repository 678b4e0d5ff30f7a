package archive_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
)

// backlog is what a box sends after some days without the hospital: many bundles, several in each batch.
const (
	backlog = 16_000
	atOnce  = 2_000
)

// BenchmarkAppend measures the archive beside the bare insert of the same rows into the same tables, on a disk, with the
// same durability; the ratio is what verification-free bookkeeping costs.
func BenchmarkAppend(b *testing.B) {
	server, err := databasetest.NewServer(os.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	log := newBox("box-1").work(backlog)
	for name, url := range map[string]string{"postgres": server.URL("postgres"), "sqlite": databasetest.SQLite(b)} {
		b.Run(name, func(b *testing.B) {
			db := openDatabase(b, url)
			a := archive.New(db, archive.Retention{}, quiet())
			if _, err := a.Sweep(b.Context(), start); err != nil {
				b.Fatal(err)
			}
			insert := bareSQLite
			if db.Dialect == database.PostgreSQL {
				insert = barePostgreSQL
			}
			var archived, bare time.Duration
			for b.Loop() {
				archived += timed(b, func(batch archive.Batch) error { _, err := a.Append(b.Context(), batch); return err }, log)
				clearTables(b, db)
				bare += timed(b, func(batch archive.Batch) error { return insert(b.Context(), db, batch) }, log)
				clearTables(b, db)
			}
			perSecond := func(d time.Duration) float64 { return float64(backlog*b.N) / d.Seconds() }
			b.ReportMetric(perSecond(archived), "records/s")
			b.ReportMetric(perSecond(bare), "bare-records/s")
			b.ReportMetric(perSecond(archived)/perSecond(bare), "ratio")
		})
	}
}

// BenchmarkManyBoxes has many boxes send small bundles at the same time, each in a transaction of its own.
func BenchmarkManyBoxes(b *testing.B) {
	const boxes, bundles, size = 64, 8, 4
	server, err := databasetest.NewServer(os.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	for name, url := range map[string]string{"postgres": server.URL("postgres"), "sqlite": databasetest.SQLite(b)} {
		b.Run(name, func(b *testing.B) {
			a := open(b, url)
			for b.Loop() {
				b.StopTimer()
				logs := make([]*box, boxes)
				for i := range logs {
					logs[i] = newBox(fmt.Sprintf("box-%d-%d", b.N, time.Now().UnixNano()%1e12)).work(bundles * size)
				}
				b.StartTimer()
				var all sync.WaitGroup
				for _, log := range logs {
					all.Go(func() {
						for from := 0; from < bundles*size; from += size {
							if _, err := a.Append(b.Context(), log.batch(from, from+size, start)); err != nil {
								b.Error(err)
							}
						}
					})
				}
				all.Wait()
			}
			b.ReportMetric(float64(boxes*bundles*b.N)/b.Elapsed().Seconds(), "bundles/s")
		})
	}
}

func timed(b *testing.B, store func(archive.Batch) error, log *box) (took time.Duration) {
	for from := 0; from < backlog; from += atOnce {
		batch := log.batch(from, from+atOnce, start)
		began := time.Now()
		if err := store(batch); err != nil {
			b.Fatal(err)
		}
		took += time.Since(began)
	}
	return took
}

func clearTables(b *testing.B, db *database.DB) {
	b.Helper()
	for _, table := range []string{"leaf", "body", "opening", "batch", "origin"} {
		if _, err := db.Exec(`DELETE FROM ` + table); err != nil {
			b.Fatal(err)
		}
	}
	if db.Dialect == database.PostgreSQL {
		if _, err := db.Exec(`VACUUM`); err != nil {
			b.Fatal(err)
		}
	}
}

// rows are those of a batch, by table.
func rows(batch archive.Batch) (leaf, body, opening [][]any) {
	for i, r := range batch.Records {
		var hashes []byte
		for _, h := range r.Hashes {
			hashes = append(hashes, h[:]...)
		}
		e := batch.Leaves[i].Entry
		leaf = append(leaf, []any{int64(1), r.Index, int64(202610), hashes})
		body = append(body, []any{int64(202610), int64(1), r.Index, e.At.UnixNano(), string(e.Record.Kind), string(e.Record.Phone), r.Leaf})
		for n, o := range r.Openings {
			opening = append(opening, []any{int64(202610), int64(1), r.Index, int64(n + 1), o.Salt[:], o.Value})
		}
	}
	return leaf, body, opening
}

var (
	leafColumns    = []string{"origin", "idx", "month", "hashes"}
	bodyColumns    = []string{"month", "origin", "idx", "at", "kind", "phone", "body"}
	openingColumns = []string{"month", "origin", "idx", "field", "salt", "value"}
)

func barePostgreSQL(ctx context.Context, db *database.DB, batch archive.Batch) error {
	leaf, body, opening := rows(batch)
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Raw(func(driver any) error {
		return pgx.BeginFunc(ctx, driver.(*stdlib.Conn).Conn(), func(tx pgx.Tx) error {
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{"leaf"}, leafColumns, pgx.CopyFromRows(leaf)); err != nil {
				return err
			}
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{"body"}, bodyColumns, pgx.CopyFromRows(body)); err != nil {
				return err
			}
			_, err := tx.CopyFrom(ctx, pgx.Identifier{"opening"}, openingColumns, pgx.CopyFromRows(opening))
			return err
		})
	})
}

func bareSQLite(ctx context.Context, db *database.DB, batch archive.Batch) error {
	leaf, body, opening := rows(batch)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for query, rows := range map[string][][]any{
		`INSERT INTO leaf (origin, idx, month, hashes) VALUES (?, ?, ?, ?)`:                         leaf,
		`INSERT INTO body (month, origin, idx, at, kind, phone, body) VALUES (?, ?, ?, ?, ?, ?, ?)`: body,
		`INSERT INTO opening (month, origin, idx, field, salt, value) VALUES (?, ?, ?, ?, ?, ?)`:    opening,
	} {
		stmt, err := tx.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		defer stmt.Close()
		for _, row := range rows {
			if _, err := stmt.ExecContext(ctx, row...); err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
		}
	}
	return tx.Commit()
}

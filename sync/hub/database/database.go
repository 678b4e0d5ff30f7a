package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Dialect is the engine, as far as SQL differs by it.
type Dialect string

const (
	PostgreSQL Dialect = "postgres"
	SQLite     Dialect = "sqlite"
)

// DB is an open database. What it acknowledges as committed is on disk. Statements number their parameters $1, $2, … in
// both engines; times are Unix nanoseconds.
//
// A transaction that begins to write on SQLite waits its turn for at most some seconds: keep them short, and use Snapshot
// for those that only read.
type DB struct {
	*sql.DB
	Dialect Dialect

	readers *sql.DB // SQLite: connections that never take the one writer's lock
}

// Open opens the database at a URL, "postgres://…" (what libpq and pgx understand) or "sqlite:/path/of/file", makes the
// SQLite file where there is none, and migrates. Several programs may open one PostgreSQL database at the same time; one
// of them migrates. An engine that is set to acknowledge what it has not written is refused.
func Open(ctx context.Context, url string) (*DB, error) {
	db, err := dial(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open the hub's database: %w", err)
	}
	if err := db.migrate(ctx); err != nil {
		return nil, fmt.Errorf("open the hub's database: %w", errors.Join(err, db.Close()))
	}
	return db, nil
}

func dial(ctx context.Context, url string) (*DB, error) {
	scheme, rest, _ := strings.Cut(url, ":")
	switch scheme {
	case "postgres", "postgresql":
		return dialPostgreSQL(ctx, url)
	case "sqlite":
		return openSQLite(ctx, strings.TrimPrefix(rest, "//"))
	}
	return nil, fmt.Errorf("its URL must begin with postgres:// or sqlite:, not with %q", scheme)
}

// Snapshot begins a transaction that reads, and sees the database as it is at its first statement.
func (db *DB) Snapshot(ctx context.Context) (*sql.Tx, error) {
	if db.Dialect == SQLite {
		return db.readers.BeginTx(ctx, nil)
	}
	return db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// Close ends all connections.
func (db *DB) Close() error {
	if db.readers == nil {
		return db.DB.Close()
	}
	return errors.Join(db.readers.Close(), db.DB.Close())
}

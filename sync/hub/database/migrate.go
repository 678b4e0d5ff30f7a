package database

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed sql
var embedded embed.FS

const versionTable = "hub_schema"

// migrate applies what the database lacks, each migration in one transaction with its number. Rooms have numbers of
// their own, so that a lower one may come after a higher. One that only a later release knows is left alone.
func (db *DB) migrate(ctx context.Context) error {
	files, err := fs.Sub(embedded, "sql/"+string(db.Dialect))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithAllowOutofOrder(true),
	}
	if db.Dialect == PostgreSQL {
		dialect, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(oneAtATime{}))
	}
	p, err := goose.NewProvider(dialect, db.DB, files, options...)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// oneAtATime lets one program migrate while the others wait; goose's own lock asks again every few seconds.
type oneAtATime struct{}

const migrationLock = 7380000

func (oneAtATime) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrationLock)
	return err
}

func (oneAtATime) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, migrationLock)
	return err
}

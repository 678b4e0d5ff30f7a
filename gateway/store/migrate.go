package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"tapward/gateway"
	"tapward/gateway/durable"
)

//go:embed sql/migrations/*.sql
var embedded embed.FS

const versionTable = "schema_version"

// migrations are the embedded files by their plain names.
func migrations() fs.FS {
	sub, err := fs.Sub(embedded, "sql/migrations")
	if err != nil {
		panic(err) // the directory is compiled in
	}
	return sub
}

// newestSchema is the number of the last embedded migration.
func newestSchema() int64 {
	names, err := fs.Glob(migrations(), "*.sql")
	if err != nil || len(names) == 0 {
		panic("store: no embedded migrations")
	}
	number, _, _ := strings.Cut(names[len(names)-1], "_")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		panic(err)
	}
	return version
}

// migrate brings the file up to the newest embedded schema, each migration in one transaction with its version.
func migrate(ctx context.Context, db *sql.DB) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, db, migrations(),
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// create makes the database under another name and puts it in place whole, so that a crash leaves either none or a
// complete one.
func create(ctx context.Context, path string, box gateway.BoxID) (err error) {
	draft := path + ".new"
	for _, leftover := range []string{draft, draft + "-wal", draft + "-shm", path + "-wal", path + "-shm"} {
		if err := os.Remove(leftover); err != nil && !errors.Is(err, os.ErrNotExist) {
			return explain("create database", path, err)
		}
	}
	f, err := os.OpenFile(draft, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return explain("create database", path, err)
	}
	defer f.Close()
	if err := fill(ctx, draft, box); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if err := os.Rename(draft, path); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return durable.Folder(filepath.Dir(path))
}

// fill writes the schema and the ward's one row. Closing the only connection moves the WAL into the file.
func fill(ctx context.Context, path string, box gateway.BoxID) (err error) {
	db := connect(path, writing, 1)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := migrate(ctx, db); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO ward (id, box) VALUES (1, ?)`, string(box))
	return err
}

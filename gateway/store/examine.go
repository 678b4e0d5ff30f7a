package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/mattn/go-sqlite3"

	"tapward/gateway"
)

// applicationID marks the file as Tapward's: "TPWD".
const applicationID = 0x54505744

// examineFile refuses an empty file, which SQLite would take for a new database.
func examineFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return explain("open database", path, err)
	}
	if info.IsDir() {
		return fmt.Errorf("%s is a folder, not a database", path)
	}
	if info.Size() == 0 {
		return fmt.Errorf("%s is empty: the database was lost; nothing was written. Keep the file, restore a copy or move it away", path)
	}
	return nil
}

// examineOwner refuses a file that is no database or another program's. SQLite reads it, not we: closing a descriptor of
// our own would drop the locks that other connections of this process hold on the file.
func examineOwner(ctx context.Context, db *sql.DB, path string) error {
	var id uint32
	err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id)
	if known := (sqlite3.Error{}); errors.As(err, &known) && known.Code == sqlite3.ErrNotADB {
		return fmt.Errorf("%s is not an SQLite database; nothing was written", path)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be read; nothing was written. Keep it as evidence and restore a copy: %w", path, err)
	}
	if id != applicationID {
		return fmt.Errorf("%s is a database of another program (application id %#x); nothing was written", path, id)
	}
	return nil
}

// examine opens a database to be read in the given way and refuses one that is damaged, foreign or of too new a program.
func examine(ctx context.Context, path string, choose func(path string) (kind, error)) (db *sql.DB, box gateway.BoxID, schema int64, err error) {
	if err := examineFile(path); err != nil {
		return nil, "", 0, err
	}
	db = connect(path, choose, readers)
	if box, schema, err = inspect(ctx, db, path); err != nil {
		return nil, "", 0, errors.Join(err, db.Close())
	}
	return db, box, schema, nil
}

func inspect(ctx context.Context, db *sql.DB, path string) (box gateway.BoxID, schema int64, err error) {
	if err = examineOwner(ctx, db, path); err != nil {
		return "", 0, err
	}
	if schema, err = examineContents(ctx, db, path); err != nil {
		return "", 0, err
	}
	if err = db.QueryRowContext(ctx, `SELECT box FROM ward`).Scan(&box); err != nil {
		return "", 0, fmt.Errorf("read whose database %s is: %w", path, err)
	}
	return box, schema, nil
}

// examineContents lets SQLite check its pages, and reads the schema version.
func examineContents(ctx context.Context, db *sql.DB, path string) (schema int64, err error) {
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return 0, fmt.Errorf("%s cannot be read; nothing was written. Keep it as evidence and restore a copy: %w", path, err)
	}
	if verdict != "ok" {
		return 0, fmt.Errorf("%s is damaged (%s); nothing was written. Keep it as evidence and restore a copy", path, verdict)
	}
	row := db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable+` WHERE is_applied`)
	if err := row.Scan(&schema); err != nil {
		return 0, fmt.Errorf("read schema version of %s: %w", path, err)
	}
	if newest := newestSchema(); schema > newest+1 {
		return 0, fmt.Errorf("%s has schema version %d and this program knows %d and bears %d; nothing was written. Run the newer program",
			path, schema, newest, newest+1)
	}
	return schema, nil
}

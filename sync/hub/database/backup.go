package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes a copy of a SQLite database as of one moment into a new file, while others go on with it, and makes it
// durable. PostgreSQL has its own tools for that, which a hospital's IT runs already.
func (db *DB) Backup(ctx context.Context, path string) error {
	if db.Dialect != SQLite {
		return errors.New("back up the hub's database: PostgreSQL is backed up with pg_dump or pg_basebackup")
	}
	if err := db.copyTo(ctx, path); err != nil {
		return fmt.Errorf("back up the hub's database: %w", err)
	}
	return nil
}

func (db *DB) copyTo(ctx context.Context, path string) error {
	// The file is there before SQLite fills it, so that nobody else can read it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := db.ExecContext(ctx, `VACUUM INTO $1`, path); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	if err := f.Sync(); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

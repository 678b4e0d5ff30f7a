package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"

	"github.com/mattn/go-sqlite3"
)

const (
	busyMS  = 10_000 // how long a connection waits for its turn to write
	writers = 8
	readers = 8
)

// settings are what the driver has no parameter for: nothing but this program's functions in the schema, damage found
// where it is read, and what was erased overwritten.
const settings = `PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA secure_delete = ON;
PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -8192; PRAGMA wal_autocheckpoint = 4000`

// openSQLite opens or makes the file, readable by nobody else: it holds who held which phone.
func openSQLite(ctx context.Context, path string) (*DB, error) {
	if path == "" {
		return nil, errors.New("the URL names no file: sqlite:/path/of/file")
	}
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	db := &DB{
		DB:      connect(path, url.Values{"_txlock": {"immediate"}}, writers),
		Dialect: SQLite,
		readers: connect(path, url.Values{"_txlock": {"deferred"}, "_query_only": {"on"}}, readers),
	}
	if err := db.checkOurs(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("SQLite at %s: %w", path, err), db.Close())
	}
	return db, nil
}

// applicationID is what the first migration writes into the file.
const applicationID = 1414547522

// checkOurs leaves a file alone that another program made: a ward box's log lies in SQLite too.
func (db *DB) checkOurs(ctx context.Context) error {
	var id, tables int
	if err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'goose%' AND name <> $1`, versionTable).Scan(&tables); err != nil {
		return err
	}
	if id != applicationID && (id != 0 || tables > 0) {
		return errors.New("the file is of another program; nothing was written")
	}
	return nil
}

// makePrivate makes the empty file with its name durable, where there is none.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(folder.Sync(), folder.Close(), f.Close())
}

// connect opens a pool whose every connection is checked: the driver ignores a misspelt parameter silently, and sets
// synchronous=NORMAL whenever it is not told otherwise.
func connect(path string, params url.Values, most int) *sql.DB {
	maps.Copy(params, url.Values{
		"mode": {"rw"}, "_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_foreign_keys": {"on"},
		"_busy_timeout": {fmt.Sprint(busyMS)},
	})
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: params.Encode()}
	db := sql.OpenDB(connector(dsn.String()))
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db
}

// connector makes connections without a driver registered for the whole program.
type connector string

func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := (&sqlite3.SQLiteDriver{ConnectHook: prepare}).Open(string(c))
	if err != nil {
		return nil, err
	}
	return numbered{conn.(*sqlite3.SQLiteConn)}, nil
}

func (connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

func prepare(c *sqlite3.SQLiteConn) error {
	if _, err := c.Exec(settings, nil); err != nil {
		return fmt.Errorf("set up connection: %w", err)
	}
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": fmt.Sprint(busyMS),
		"trusted_schema": "0", "cell_size_check": "1", "secure_delete": "1",
	} {
		have, err := readPragma(c, pragma)
		if err != nil {
			return fmt.Errorf("read back %s: %w", pragma, err)
		}
		if have != want {
			return fmt.Errorf("SQLite has %s = %s where %s was asked for", pragma, have, want)
		}
	}
	return nil
}

func readPragma(c *sqlite3.SQLiteConn, pragma string) (string, error) {
	rows, err := c.Query("PRAGMA "+pragma, nil)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil {
		return "", err
	}
	if text, ok := row[0].([]byte); ok {
		return string(text), nil
	}
	return fmt.Sprint(row[0]), nil
}

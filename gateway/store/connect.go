package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"

	"github.com/mattn/go-sqlite3"
)

// busyMS is how long a connection waits for another process that recovers or reads the file.
const busyMS = 5000

// walLimit is a few times what the WAL holds at work (1,000 pages of 4 KiB), so that it is overwritten in place and
// never cut short on a tap's path.
const walLimit = 16 << 20

// kind is what a connection is for.
type kind struct {
	params url.Values
	// expect is read back from every new connection, because a misspelt parameter is ignored silently and the driver
	// sets synchronous=NORMAL whenever it is not told otherwise.
	expect map[string]string
}

func writing(string) (kind, error) {
	return kind{
		params: url.Values{
			"mode": {"rw"}, "_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_foreign_keys": {"on"},
			"_txlock": {"immediate"}, "_busy_timeout": {fmt.Sprint(busyMS)},
		},
		expect: map[string]string{"journal_mode": "wal", "query_only": "0"},
	}, nil
}

func reading(string) (kind, error) {
	return kind{
		params: url.Values{
			"mode": {"ro"}, "_query_only": {"on"}, "_synchronous": {"FULL"}, "_foreign_keys": {"on"},
			"_busy_timeout": {fmt.Sprint(busyMS)},
		},
		expect: map[string]string{"query_only": "1"},
	}, nil
}

// still reads without a trace where nothing can be under way: SQLite need not, and on a read-only medium cannot, make its
// files beside the database.
func still(path string) (kind, error) {
	k, err := reading(path)
	if err != nil {
		return k, err
	}
	noWAL, err := absent(path + "-wal")
	if noWAL {
		k.params.Set("immutable", "1")
	}
	return k, err
}

// frozen reads a database that no other process has open, and makes no file beside it: where there is a WAL, SQLite keeps
// its index in memory if it may lock the whole file.
func frozen(path string) (kind, error) {
	k, err := still(path)
	if err == nil && !k.params.Has("immutable") {
		k.params.Set("mode", "rw") // or it could not lock; query_only holds all the same
		k.params.Set("_locking_mode", "EXCLUSIVE")
	}
	return k, err
}

// connect opens a pool whose every connection is checked. It starts no connection; each is of the kind that is chosen
// when it is started.
func connect(path string, choose func(path string) (kind, error), most int) *sql.DB {
	db := sql.OpenDB(connector{path, choose})
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db
}

// prepare sets what the driver has no parameter for, and reads everything back.
func (k kind) prepare(c *sqlite3.SQLiteConn) error {
	settings := fmt.Sprintf(`PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA journal_size_limit = %d`, walLimit)
	if _, err := c.Exec(settings, nil); err != nil {
		return fmt.Errorf("set up connection: %w", err)
	}
	for _, want := range []map[string]string{k.expect, {
		"synchronous": "2", "foreign_keys": "1", "busy_timeout": fmt.Sprint(busyMS),
		"trusted_schema": "0", "cell_size_check": "1",
	}} {
		for pragma, value := range want {
			if have, err := readPragma(c, pragma); err != nil {
				return fmt.Errorf("read back %s: %w", pragma, err)
			} else if have != value {
				return fmt.Errorf("SQLite has %s = %s where %s was asked for", pragma, have, value)
			}
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

// connector makes connections without a driver registered for the whole program.
type connector struct {
	path   string
	choose func(path string) (kind, error)
}

func (c connector) Connect(context.Context) (driver.Conn, error) {
	k, err := c.choose(c.path)
	if err != nil {
		return nil, err
	}
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: c.path}).EscapedPath(), RawQuery: k.params.Encode()}
	return (&sqlite3.SQLiteDriver{ConnectHook: k.prepare}).Open(dsn.String())
}

func (c connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

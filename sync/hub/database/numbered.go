package database

import (
	"context"
	"database/sql/driver"
	"regexp"

	"github.com/mattn/go-sqlite3"
)

// numbered is a connection to SQLite on which $3 is the third argument, as in PostgreSQL. To SQLite itself it is a name,
// and the driver gives names their arguments in the order in which a statement happens to mention them.
type numbered struct{ *sqlite3.SQLiteConn }

var parameter = regexp.MustCompile(`\$([1-9][0-9]*)`)

func byNumber(query string) string { return parameter.ReplaceAllString(query, `?$1`) }

func (n numbered) Prepare(query string) (driver.Stmt, error) {
	return n.SQLiteConn.Prepare(byNumber(query))
}

func (n numbered) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return n.SQLiteConn.PrepareContext(ctx, byNumber(query))
}

func (n numbered) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return n.SQLiteConn.ExecContext(ctx, byNumber(query), args)
}

func (n numbered) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return n.SQLiteConn.QueryContext(ctx, byNumber(query), args)
}

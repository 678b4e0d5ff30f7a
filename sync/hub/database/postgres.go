package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// connections is how many a hub opens at most: workers that append, and those who read.
const connections = 16

func dialPostgreSQL(ctx context.Context, address string) (*DB, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, err // pgx leaves the password out of it
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "tapward-hub"
	}
	db := &DB{DB: stdlib.OpenDB(*config), Dialect: PostgreSQL}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := db.checkDurable(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("PostgreSQL at %s:%d: %w", config.Host, config.Port, err), db.Close())
	}
	return db, nil
}

// checkDurable refuses a server that says "committed" before it has written: a receipt would promise what a power cut
// takes back.
func (db *DB) checkDurable(ctx context.Context) error {
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		var value string
		if err := db.QueryRowContext(ctx, `SHOW `+setting).Scan(&value); err != nil {
			return err
		}
		if value == "off" {
			return fmt.Errorf("%s is off, so that a power cut can lose what was receipted: switch it on", setting)
		}
	}
	return nil
}

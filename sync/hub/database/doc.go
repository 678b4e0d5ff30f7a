// Package database opens the hub's database, PostgreSQL or SQLite, and brings its schema up to date.
//
// Every room of the hub keeps its tables here, with a pair of migrations of its own: sql/postgres and sql/sqlite hold the
// same numbers. Migrations only add, so that the release before can go on with the database.
package database

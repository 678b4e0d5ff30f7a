// Package store keeps the ward in SQLite: the session state, the pairings, the policy and the audit log with its tree,
// one writer, one transaction for what belongs together.
package store

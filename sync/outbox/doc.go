// Package outbox sends a box's log to the hospital, once and in order, and lets the store prune what the hospital has.
//
// It reads what the store has committed, beside the taps and never in their way. What it knows after a restart comes from
// the newest message on the box's own subject and from the hub's receipts; it keeps no cursor that could be wrong.
package outbox

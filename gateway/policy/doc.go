// Package policy decides who may act on a ward: an immutable snapshot that identifies a badge, answers permit or deny
// with a reason, and gives every session its terms.
//
// A policy starts as a Document, the exact bytes that people agree on; docs/policy.md describes it field by field. Parse
// reports everything that is wrong with one at once. New makes from it the Snapshot of one ward, which the engine asks
// on the path of a tap: in memory, without a clock and without a network. Whatever cannot be judged is denied.
package policy

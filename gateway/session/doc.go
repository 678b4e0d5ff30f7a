// Package session decides what happens to a ward's phones: one pure function from a state and an event to the next
// state and the effects to perform.
//
// Step is the only place where a phone changes hands. It performs nothing, reads no clock and draws no chance, so every
// run can be replayed, explored and drawn: docs/session.md is generated from it. The rule that carries the rest: an
// answer that did not come is not a "no". A phone whose outcome is unknown is released with a higher fence, and is
// nobody's until it has proven that it is clear.
package session

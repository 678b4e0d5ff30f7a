// Package claim is what a new box (or phone) and the hospital's hub say to each other until the hub knows its keys: the
// messages, what they commit to, and the short code that a person compares.
//
// The newcomer commits to its keys, the hub shows a nonce and its own keys, the newcomer reveals. Both derive the code
// from all of that. Whoever sits between them must choose its keys before it knows the other side's nonce, so that the
// codes agree with a chance of one in a hundred million for each attempt, of which both sides allow few in an hour.
//
// It is pure: it reads no clock and no disk and knows no connection. docs/hub.md describes it for people.
package claim

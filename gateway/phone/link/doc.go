// Package link speaks the phone protocol: one TLS 1.3 connection with both keys pinned, carrying compare-and-set
// commands to a phone and its signed receipts back. docs/phone-protocol.md is its specification.
//
// Both sides share Identity, Conn, the messages and the signatures. Links is the box's side: it accepts and dials
// phones (accept.go, dial.go), admits those whose hello is right (admit.go), keeps one standing link each (standing.go)
// and carries commands over it (order.go, receipt.go).
package link

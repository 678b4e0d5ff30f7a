// Package link speaks the phone protocol: one TLS 1.3 connection with both keys pinned, carrying compare-and-set
// commands to a phone and its signed receipts back. docs/phone-protocol.md is its specification.
package link

// Package audit makes what happened tamper-evident: canonical leaf bytes, an RFC 6962 tree, signed checkpoints, and a
// verifier that names the first bad record.
//
// It is pure: it reads no clock and no disk; chance comes in as an io.Reader. docs/audit.md describes every byte for
// people who write a verifier of their own, and docs/audit-vectors holds published examples.
package audit

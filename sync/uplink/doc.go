// Package uplink is what ward boxes and the hospital's hub agree on: subjects, buckets, messages and their limits.
//
// It is pure: it reads no clock and no disk and knows no connection. docs/hub.md describes it for people.
package uplink

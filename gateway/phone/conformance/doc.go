// Package conformance examines a phone's agent, whoever made it, against docs/phone-protocol.md.
//
// It plays a ward box that the phone trusts, and goes through a list of clauses: each makes a fresh link, brings the
// phone to rest by a release, does one thing right or wrong, and says in words what the phone should have done. It needs
// about half a minute, most of it waiting for leases and challenges to run out.
package conformance

// Package mdns finds phones and boxes on the ward's network, and lets them be found (RFC 6762, RFC 6763).
//
// It proposes only: whatever it reports is an unauthenticated hint, and the link decides by pinned keys who is there. So
// nothing that is heard may push out something else: every address claimed for a name is reported, within bounds.
//
// grandcat/zeroconf asks and answers. It reports a name once, and keeps the second claimant, goodbyes and new addresses
// to itself; it goes deaf when an interface is made anew. So its resolvers are replaced on a schedule and whenever the
// network changes, and a socket of our own overhears the answers that it swallows.
package mdns

const (
	PhoneService = "_tapward-phone._tcp" // advertised by phones
	BoxService   = "_tapward._tcp"       // advertised by boxes

	domain = "local"
)

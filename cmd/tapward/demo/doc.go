// Package demo is a ward made of software around the real daemons, to look at and to test with: virtual badges and
// readers, phones that are played, and a network of its own that nothing leaves.
//
// What is real: tapwardd, tapward-hub, the PC/SC daemon, the phones' agents, mDNS, TLS, the databases, socket activation and
// readiness as systemd does them. What is played: the card in a reader (vpcd), the serial reader at a pseudo-terminal, the
// phones' bodies, and the people.
package demo

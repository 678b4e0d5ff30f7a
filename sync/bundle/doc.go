// Package bundle puts into force what the hospital releases to this box, and reports what is in force.
//
// A release is taken if the hub's release key signed it, it is of this site, and its version is above the one in force,
// which the box's database remembers: so an older one never comes back, also after a restart. The engine carries it out as
// an operator's act: the act, its leaf and the sessions that end by it are one transaction.
package bundle

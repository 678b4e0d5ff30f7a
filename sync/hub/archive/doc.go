// Package archive keeps what ward boxes recorded, in the hospital's own database: each record once, without a gap, and
// with all that is needed to prove it.
//
// It stores what its caller has verified. The tree of every box and epoch stays for ever; bodies go with the retention,
// and openings, which name people, by law or by age, and no proof notices.
package archive

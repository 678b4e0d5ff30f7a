// Package export hands the archive's records on to the hospital's other systems: each receiver gets every record, in the
// order of the archive, however long it was away.
//
// A record is projected, never changed: an export names the record by an id that follows from its site, box, epoch and
// index, so that the same record sent twice is the same record. What names a person by name, what is free text, and a
// phone's receipt stay in the archive; people appear under the hospital's pseudonymous number.
//
// A feed is one receiver with a durable cursor of its own. A record that the receiver refuses for what it is goes to the
// feed's dead letters, with the receiver's words, and the others go on; any other failure is tried again, later and later.
package export

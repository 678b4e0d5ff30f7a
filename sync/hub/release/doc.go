// Package release decides on the hospital's side what boxes run, and knows how far it has got: policies and revocations
// with rising versions, signed with the hub's release key, in the broker's bucket for every box to read.
//
// Revocations are one cumulative list for the site. Its version is the number of the newest decision, which rises with
// every change to the list. What no longer matters is left out: an earlier decision that takes the same from the same; and
// a person or badge that the newest policy lets in nowhere, once every enrolled box has reported that policy or a later
// one. A phone stays listed, because no policy says which phones there are. So a person is given access again by two
// policies, one without them and, when every box has it, one with them: a revocation alone is never undone.
package release

// Package phone knows which phones are here: a registry value made of sightings and link reports, and the choice of the
// phone nearest to a reader.
package phone

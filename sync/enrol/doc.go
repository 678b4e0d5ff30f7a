// Package enrol is the box's side of becoming, and staying, one of the hospital's boxes: the claim, the certificate and
// its renewal. None of it is on the path of a tap.
//
// The folder holds at most two files of it, each replaced whole: enrolment.json once the box is enrolled, claim.json while
// it asks. Both hold a private key and are readable by nobody else.
package enrol

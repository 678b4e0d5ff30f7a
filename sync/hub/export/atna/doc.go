// Package atna projects records into DICOM's audit messages (PS3.15, A.5), and sends them by syslog over TLS (RFC 5424,
// RFC 5425, IHE ITI-20) to repositories that take nothing newer.
//
// Syslog has no acknowledgement. What was sent may be lost, and is never counted as delivered: a hospital that must be sure
// takes the FHIR feed, or compares afterwards with tapward-hub export.
package atna

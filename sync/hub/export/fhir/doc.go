// Package fhir projects records into FHIR R4 (4.0.1) AuditEvents, and feeds them to an audit repository (IHE ITI-20, ATX:
// FHIR Feed).
//
// Every record becomes one AuditEvent whose id follows from its name, so that a PUT may be repeated. People appear as
// identifiers; badges, names, free text and receipts do not appear.
package fhir

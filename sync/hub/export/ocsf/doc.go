// Package ocsf projects records into events of the Open Cybersecurity Schema Framework (1.5.0), which security information
// systems read, and delivers them as lines of a file or over HTTP.
//
// Sessions are Authentication (3002); phones, policies and what operators do Entity Management (3004); the box itself
// Application Lifecycle (6002). What is none of these is a Base Event (0), and says what it is in unmapped. metadata.uid is
// the record's id: a receiver that keeps one event for each keeps no duplicates.
package ocsf

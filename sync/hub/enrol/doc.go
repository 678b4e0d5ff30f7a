// Package enrol lets boxes (and phones) into the hospital and keeps the list of those who are: it takes their claims,
// has a person confirm each, gives out and renews certificates, and revokes.
//
// Every decision is committed together with an event for the hub's own audit. docs/hub.md describes the flow for people.
package enrol

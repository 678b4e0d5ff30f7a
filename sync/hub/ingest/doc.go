// Package ingest takes what ward boxes sent, verifies it against what is archived, archives it once, and tells each box
// what is stored.
//
// The broker's stream is read box by box, in order, from a place that may lag: whatever comes twice is compared and
// archived once. A consumer that several hubs share only says which box has something new, so that it does not matter
// who hears it, when, or how often. The order is always archive, receipt, acknowledgement: a receipt is never ahead of
// the archive, wherever a hub stops.
package ingest

// Package witness keeps the hub's own log of the boxes' checkpoints that it has accepted, and has it witnessed by others
// (c2sp.org/tlog-witness): what the hospital has accepted, the hospital cannot change any more without their noticing.
package witness

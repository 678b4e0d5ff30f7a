//go:build !demo

package main

// simDirect has no commands: no tap enters a box but from a configured reader.
type simDirect struct{}

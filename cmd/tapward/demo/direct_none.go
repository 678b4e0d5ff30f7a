//go:build !demo

package demo

// directSocket is nowhere: no tap enters the box but from a configured reader.
func directSocket(string) string { return "" }

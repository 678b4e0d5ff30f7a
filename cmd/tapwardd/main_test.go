package main

import (
	"testing"

	"tapward/gateway/isolate"
)

// TestMain gives the tests a network and mounts of their own: fixed ports, multicast and daemons meet nobody else's.
func TestMain(m *testing.M) {
	if hubUntilKilled() {
		return
	}
	isolate.Main(m)
}

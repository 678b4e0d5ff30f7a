package main

import (
	"testing"

	"tapward/gateway/isolate"
)

// TestMain gives the hub's fixed ports a network of their own.
func TestMain(m *testing.M) { isolate.Main(m) }

//go:build !demo

package main

import (
	"context"

	"tapward/reader"
)

// simulates says that this build takes simulated taps. It does not: no tap enters but from a configured reader.
const simulates = false

func simulate(context.Context, string, chan<- reader.Event) error { return nil }

package main

import (
	"context"
	"time"

	"tapward/gateway/handoff"
	"tapward/gateway/kernel"
)

// watchClock tells the engine whether the kernel's clock is synchronised, now and every ten seconds.
func watchClock(ctx context.Context, engine *handoff.Engine) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		engine.Clock(ctx, kernel.Clock())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

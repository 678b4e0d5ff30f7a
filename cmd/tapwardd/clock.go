package main

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"tapward/gateway/audit"
	"tapward/gateway/handoff"
)

// uptime is the time since the machine booted, also while it was suspended.
func uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// watchClock tells the engine whether the kernel's clock is synchronised, now and every ten seconds.
func watchClock(ctx context.Context, engine *handoff.Engine) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		engine.Clock(ctx, clockState())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func clockState() audit.Clock {
	state, err := unix.Adjtimex(&unix.Timex{})
	switch {
	case err != nil:
		return audit.ClockUnknown
	case state == unix.TIME_ERROR:
		return audit.NotSynchronised
	}
	return audit.Synchronised
}

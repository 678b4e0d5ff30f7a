package main

import (
	"time"

	"golang.org/x/sys/unix"

	"tapward/gateway/audit"
)

// uptime is the time since the machine booted, also while it was suspended; zero where the kernel does not say.
func uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// clockState is what the kernel says of its clock.
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

// Package kernel asks the kernel what only it can say: how long the machine runs, which boot this is, whether the wall
// clock may be believed, and who is at the other end of a socket.
package kernel

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tapward/gateway/audit"
)

// Uptime is the time since the machine started, suspend included (CLOCK_BOOTTIME).
func Uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // every kernel since 2.6.39 has it
	}
	return time.Duration(t.Nano())
}

// BootID is the kernel's name for this boot.
func BootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the kernel's boot id: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// Clock is what the kernel says of its wall clock.
func Clock() audit.Clock {
	state, err := unix.Adjtimex(&unix.Timex{})
	switch {
	case err != nil:
		return audit.ClockUnknown
	case state == unix.TIME_ERROR:
		return audit.NotSynchronised
	}
	return audit.Synchronised
}

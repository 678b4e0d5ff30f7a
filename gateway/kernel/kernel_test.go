package kernel_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tapward/gateway/audit"
	"tapward/gateway/kernel"
)

// TestUptimeIsTheKernels compares with /proc/uptime, which counts the same clock in hundredths.
func TestUptimeIsTheKernels(t *testing.T) {
	before := kernel.Uptime()
	text, err := os.ReadFile("/proc/uptime")
	after := kernel.Uptime()
	if err != nil {
		t.Fatal(err)
	}
	seconds, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	told := time.Duration(seconds * float64(time.Second))
	if grain := 20 * time.Millisecond; told < before-grain || told > after+grain {
		t.Errorf("the kernel says %v, between %v and %v", told, before, after)
	}
}

func TestBootHasAName(t *testing.T) {
	id, err := kernel.BootID()
	again, _ := kernel.BootID()
	if err != nil || id != again || !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("boot %q, then %q: %v", id, again, err)
	}
}

func TestClockIsKnownHere(t *testing.T) {
	if c := kernel.Clock(); c != audit.Synchronised && c != audit.NotSynchronised {
		t.Errorf("the kernel says nothing of its clock: %q", c)
	}
}

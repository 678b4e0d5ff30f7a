package systemd

import (
	"os"
	"strings"
	"testing"
)

// Every record says whether the clock was synchronised, so the unit must let the daemon ask: adjtimex is allowed after
// the groups that contain it are forbidden, and nothing forbids it again.
func TestUnitLetsTheDaemonAskAboutTheClock(t *testing.T) {
	unit, err := os.ReadFile("tapwardd.service")
	if err != nil {
		t.Fatal(err)
	}
	forbidden := strings.LastIndex(string(unit), "SystemCallFilter=~")
	allowed := strings.Index(string(unit), "\nSystemCallFilter=adjtimex\n")
	if forbidden < 0 || allowed < forbidden || strings.Contains(string(unit), "\nProtectClock=yes") {
		t.Error("the unit forbids adjtimex: the box could never say that its clock is synchronised")
	}
}

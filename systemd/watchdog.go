package systemd

import (
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Watchdog is how often systemd wants to hear that the daemon is alive. The zero value wants nothing.
type Watchdog struct {
	limit time.Duration
}

// NewWatchdog reads what systemd asks of this process.
func NewWatchdog() (Watchdog, error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return Watchdog{}, fmt.Errorf("read systemd's watchdog time: %w", err)
	}
	return Watchdog{limit}, nil
}

// Interval is how often to Pet: half the limit, so that one may come late. Zero means never.
func (w Watchdog) Interval() time.Duration { return w.limit / 2 }

// Pet says that the daemon is alive. Only the loop whose standstill should restart the daemon may call it, after it has
// done a round of its work.
func (w Watchdog) Pet() error {
	if w.limit == 0 {
		return nil
	}
	return notify(daemon.SdNotifyWatchdog)
}

// Package systemd is the daemon's side of the service manager: readiness, watchdog, sockets and credentials.
//
// Outside systemd every call but Credential succeeds and does nothing, so that a daemon started by hand runs the same
// code. The unit files of the box lie beside it.
package systemd

import (
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that the daemon has started. It may be said again.
func Ready() error { return notify(daemon.SdNotifyReady) }

// Stopping says that a stop has begun, and that its time runs.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// Status is shown by systemctl status, in one line. It reaches every user of the machine: no names in it.
func Status(text string) error {
	return notify("STATUS=" + strings.Join(strings.Fields(text), " "))
}

func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("tell systemd %s: %w", state, err)
	}
	return nil
}

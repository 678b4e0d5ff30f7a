package vpcd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	driverPath = systemDrivers + "/serial/libifdvpcd.so"
	// systemDrivers is where drivers are installed. The daemon sees only our copies there; a path of ours in its
	// configuration would be refused for a comma or a space.
	systemDrivers = "/usr/lib/pcsc/drivers"
	firstPort     = 0x8C7B // of the first driver; each has two, one per slot
	perDriver     = 2      // compiled into it
)

func (d *Daemon) configDir() string { return filepath.Join(d.rig.Dir, "reader.conf.d") }
func (d *Daemon) driverDir() string { return filepath.Join(d.rig.Dir, "drivers") }

// install writes one copy of the driver for every pair of readers, since the driver keeps its slots in variables that
// all readers of one library file share, and the daemon's configuration.
func (d *Daemon) install() error {
	driver, err := os.ReadFile(driverPath)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; install the package vsmartcard-vpcd", err)
	}
	if err != nil {
		return err
	}
	for _, dir := range []string{d.configDir(), d.driverDir()} {
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(d.rig.SocketDir, 0o755); err != nil {
		return err
	}
	var config strings.Builder
	for first := 0; first < d.rig.Readers; first += perDriver {
		library := fmt.Sprintf("vpcd-%d.so", first/perDriver)
		if err := os.WriteFile(filepath.Join(d.driverDir(), library), driver, 0o755); err != nil {
			return err
		}
		name := fmt.Sprintf("Virtual Reader %c", 'A'+first/perDriver)
		port := firstPort + first
		fmt.Fprintf(&config, "FRIENDLYNAME %q\nDEVICENAME /dev/null:0x%X\nLIBPATH %s/%s\nCHANNELID 0x%X\n\n",
			name, port, systemDrivers, library, port)
		for slot := range min(perDriver, d.rig.Readers-first) {
			d.slots = append(d.slots, &Slot{
				Name:    fmt.Sprintf("%s 00 %02d", name, slot),
				Address: fmt.Sprintf("127.0.0.1:%d", port+slot),
			})
		}
	}
	return os.WriteFile(filepath.Join(d.configDir(), "vpcd"), []byte(config.String()), 0o644)
}

func slotsFile(dir string) string { return filepath.Join(dir, "slots.json") }

// writeSlots leaves word for OpenSlots.
func (d *Daemon) writeSlots() error {
	text, err := json.MarshalIndent(d.slots, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(slotsFile(d.rig.Dir), text, 0o644)
}

// OpenSlots gives another process the slots of the Daemon that runs with dir as its Rig.Dir.
func OpenSlots(dir string) ([]*Slot, error) {
	text, err := os.ReadFile(slotsFile(dir))
	if err != nil {
		return nil, fmt.Errorf("find the virtual readers: %w", err)
	}
	var slots []*Slot
	if err := json.Unmarshal(text, &slots); err != nil {
		return nil, fmt.Errorf("find the virtual readers: %s: %w", slotsFile(dir), err)
	}
	return slots, nil
}

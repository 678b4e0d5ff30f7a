package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"

	"tapward/gateway"
	"tapward/reader/serial"
)

// config is the part of a box's configuration that doctor looks after. Whether the whole file is right, tapwardd --check
// says.
type config struct {
	Box     gateway.BoxID `toml:"box"`
	Data    string        `toml:"data"`
	Station struct {
		Socket string `toml:"socket"`
	} `toml:"station"`
	Phones struct {
		Interfaces []string `toml:"interfaces"`
		Quiet      bool     `toml:"quiet"`
	} `toml:"phones"`
	PCSC []struct {
		ID    gateway.ReaderID `toml:"id"`
		Match string           `toml:"match"`
	} `toml:"pcsc"`
	Serial []serial.Config `toml:"serial"`
}

func readConfig(path string) (config, error) {
	var c config
	text, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("read configuration: %w", err)
	}
	if err := toml.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("configuration %s: %w", path, err)
	}
	if c.Station.Socket == "" {
		c.Station.Socket = filepath.Join(c.Data, "tapward.sock")
	}
	if _, err := os.Stat(c.Station.Socket); err != nil {
		if _, err := os.Stat(unitSocket); err == nil {
			c.Station.Socket = unitSocket // systemd opened it, and the daemon opens none of its own
		}
	}
	return c, nil
}

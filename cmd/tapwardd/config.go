package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"tapward/gateway"
	"tapward/reader/pcsc"
	"tapward/reader/serial"
)

// Config is the box's configuration file: what this box is and what is plugged into it. What people may do is not here;
// that is the ward policy.
type Config struct {
	// Box names this box at its site: up to 32 letters, digits, "-" and "_". It is in every grant and audit leaf; changing it
	// makes it another box.
	Box gateway.BoxID `toml:"box"`
	// Ward is the id of the ward in the policy that this box serves.
	Ward string `toml:"ward"`
	// Data is the folder for the database and, where systemd hands over no credentials, the keys.
	Data string `toml:"data"`

	Station Station `toml:"station"`
	Phones  Phones  `toml:"phones"`
	Metrics Metrics `toml:"metrics"`

	// Uplink is the hospital's hub; nil: the box stands alone.
	Uplink *Uplink `toml:"uplink"`

	// PCSC are readers of the PC/SC daemon, Serial those at serial ports.
	PCSC   []PCSC          `toml:"pcsc"`
	Serial []serial.Config `toml:"serial"`

	// Sim is the path of a socket that takes simulated taps; only builds with the demo tag know it.
	Sim string `toml:"sim"`
}

// Station is the station page and the local API.
type Station struct {
	// Listen is the address of the page; default 127.0.0.1:8443. Empty with socket activation ("station").
	Listen string `toml:"listen"`
	// Names are the names, besides localhost and this machine's, by which browsers may ask for the page.
	Names []string `toml:"names"`
	// Socket is the path of the local API's socket, for the tapward tool; default tapward.sock in Data.
	Socket string `toml:"socket"`
}

// Phones is how phones are found and reached.
type Phones struct {
	// Listen is the address where phones open their link; default 127.0.0.1:7600. A ward's box sets its own address.
	Listen string `toml:"listen"`
	// Interfaces are the networks for mDNS; default all that do multicast. "lo" only by itself.
	Interfaces []string `toml:"interfaces"`
	// Quiet turns mDNS off, both ways: phones then open the link or have configured addresses.
	Quiet bool `toml:"quiet"`
}

// Metrics is where Prometheus and health checks ask. They are not guarded by TLS: an address other than loopback belongs to
// a network of machines.
type Metrics struct {
	// Listen is host:port; empty: off.
	Listen string `toml:"listen"`
}

// Uplink is the hub that the box asks to join at its first start. The hub's own words count from then on.
type Uplink struct {
	// Site is the hospital's site, of which the box is one: a label like Box. Ward must be one too then.
	Site string `toml:"site"`
	// Hub is where the hub takes boxes in: https://host:port.
	Hub string `toml:"hub"`
	// CA is the fingerprint of the key of the hub's certificate authority. Only a hub with that one is believed.
	CA gateway.Fingerprint `toml:"ca"`
}

// PCSC gives a PC/SC reader its place.
type PCSC struct {
	ID    gateway.ReaderID `toml:"id"`
	Match string           `toml:"match"` // part of the reader's name; * stands for any text
}

// readConfig reads the file and reports all that is wrong with it at once.
func readConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	c := Config{Station: Station{Listen: "127.0.0.1:8443"}, Phones: Phones{Listen: "127.0.0.1:7600"}}
	decoder := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		if strict := (*toml.StrictMissingError)(nil); errors.As(err, &strict) {
			return Config{}, fmt.Errorf("configuration %s has keys that do not exist:\n%s", path, strict.String())
		}
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	if c.Station.Socket == "" {
		c.Station.Socket = filepath.Join(c.Data, "tapward.sock")
	}
	if err := c.validate(); err != nil {
		return Config{}, fmt.Errorf("configuration %s:\n%w", path, err)
	}
	return c, nil
}

func (c Config) validate() error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if !gateway.ValidLabel(string(c.Box)) {
		say("box: %q must be %s", c.Box, gateway.LabelRule)
	}
	if c.Ward == "" {
		say("ward: the box needs the id of its ward")
	}
	if !filepath.IsAbs(c.Data) {
		say("data: %q must be an absolute path", c.Data)
	}
	for name, addr := range map[string]string{"station.listen": c.Station.Listen, "phones.listen": c.Phones.Listen} {
		if addr != "" && !listens(addr) {
			say("%s: %q must be host:port with a port up to 65535", name, addr)
		}
	}
	seen := map[gateway.ReaderID]bool{}
	for _, id := range c.readers() {
		if seen[id] {
			say("reader %q stands twice", id)
		}
		seen[id] = true
	}
	if len(c.PCSC) > 0 {
		if err := c.pcsc().Validate(); err != nil {
			say("pcsc: %w", err)
		}
	}
	for _, s := range c.Serial {
		if err := s.Validate(); err != nil {
			wrong = append(wrong, err)
		}
	}
	if host, _, _ := net.SplitHostPort(c.Metrics.Listen); c.Metrics.Listen != "" && (host == "" || !listens(c.Metrics.Listen)) {
		say("metrics.listen: %q must be host:port with a port up to 65535; 127.0.0.1 is for this machine only", c.Metrics.Listen)
	}
	if c.Uplink != nil {
		wrong = append(wrong, c.Uplink.validate(c.Ward)...)
	}
	if c.Sim != "" && !simulates {
		say("sim: this build takes no simulated taps")
	}
	return errors.Join(wrong...)
}

// listens says that addr is host:port with a port that there is, by number; 0 leaves it to the kernel.
func listens(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// pcsc is the configuration of the PC/SC daemon's readers.
func (c Config) pcsc() pcsc.Config {
	var config pcsc.Config
	for _, r := range c.PCSC {
		config.Readers = append(config.Readers, pcsc.Reader{ID: r.ID, Match: r.Match})
	}
	return config
}

func (u Uplink) validate(ward string) (wrong []error) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if !gateway.ValidLabel(u.Site) {
		say("uplink.site: %q must be %s", u.Site, gateway.LabelRule)
	}
	if ward != "" && !gateway.ValidLabel(ward) {
		say("ward: %q must be %s, because the hub addresses the box by it", ward, gateway.LabelRule)
	}
	at, err := url.Parse(u.Hub)
	if err != nil || at.Scheme != "https" || at.Hostname() == "" || at.Port() == "" || at.Host != strings.TrimPrefix(u.Hub, "https://") {
		say("uplink.hub: %q must be https://host:port", u.Hub)
	}
	if u.CA.IsZero() {
		say("uplink.ca: the fingerprint of the hub's CA is missing; without it the box could be taken in by anybody")
	}
	return wrong
}

func (c Config) readers() []gateway.ReaderID {
	var ids []gateway.ReaderID
	for _, r := range c.PCSC {
		ids = append(ids, r.ID)
	}
	for _, r := range c.Serial {
		ids = append(ids, r.ID)
	}
	return ids
}

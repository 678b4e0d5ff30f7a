package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pelletier/go-toml/v2"

	"tapward/gateway"
)

// Config is the hub's configuration file.
type Config struct {
	// Site names the hospital's site: it is in every certificate and every subject. Changing it makes another site.
	Site string `toml:"site"`
	// Data is the folder for keys and, where the hub runs alone, for its broker and its database.
	Data string `toml:"data"`
	// Database is "postgres://…" or "sqlite:/path"; default hub.db in Data.
	Database string `toml:"database"`
	// Socket is the path of the local API's socket, for this program's other commands; default hub.sock in Data.
	Socket string `toml:"socket"`

	Broker  Broker  `toml:"broker"`
	Enrol   Enrol   `toml:"enrol"`
	Archive Archive `toml:"archive"`
	// Witness are independent witnesses of the hub's log of accepted checkpoints.
	Witness []Witness `toml:"witness"`
	// Export are systems of the hospital's that get every record.
	Export  []Export `toml:"export"`
	Metrics Metrics  `toml:"metrics"`
}

// Broker is NATS: within the hub, or a cluster of the hospital's own.
type Broker struct {
	// Listen is where the hub's own broker listens; default 127.0.0.1:4222.
	Listen string `toml:"listen"`
	// Cluster are the servers of a cluster of your own, tls://host:port. The hub then runs no broker.
	Cluster []string `toml:"cluster"`
	// CA, Certificate and Key are PEM files for the hub's connection with the cluster.
	CA          string `toml:"ca"`
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	// Replicas of every stream; 1 for the hub's own broker, 3 for a cluster.
	Replicas int `toml:"replicas"`
	// Advertise is how boxes reach the broker, tls://host:port; default: where it listens, or the cluster.
	Advertise []string `toml:"advertise"`
}

// Enrol is where boxes ask to be let in, and renew their certificates.
type Enrol struct {
	// Listen is its address; default 127.0.0.1:8444.
	Listen string `toml:"listen"`
	// URL is how boxes reach it; default https:// and the address.
	URL string `toml:"url"`
	// Names are the hub's names and addresses in its own certificate; those of URL and Advertise are added.
	Names []string `toml:"names"`
	// Walkins lets boxes ask that no list announced.
	Walkins bool `toml:"walkins"`
	// Admins are Ed25519 public keys, base64, of those who may sign lists of expected boxes.
	Admins []string `toml:"admins"`
}

// Archive is how long what may go is kept.
type Archive struct {
	// Records, such as "87600h"; default: for ever.
	Records Span `toml:"records"`
	// Names is how long what names people in them is kept; never longer than the records. Default: as long.
	Names Span `toml:"names"`
}

// Witness is a C2SP tlog-witness that somebody else runs.
type Witness struct {
	URL string `toml:"url"` // add-checkpoint lies below it
	Key string `toml:"key"` // its verifier key
}

// Metrics is the HTTP endpoint for Prometheus, /healthz and /readyz.
type Metrics struct {
	// Listen is its address; empty: none.
	Listen string `toml:"listen"`
}

// Span is a length of time as Go writes it.
type Span time.Duration

// UnmarshalText reads "720h" and the like.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Span(d)
	return err
}

// readConfig reads the file and reports all that is wrong with it at once.
func readConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	c := Config{Broker: Broker{Listen: "127.0.0.1:4222", Replicas: 1}, Enrol: Enrol{Listen: "127.0.0.1:8444"}}
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&c); err != nil {
		if strict := (*toml.StrictMissingError)(nil); errors.As(err, &strict) {
			return Config{}, fmt.Errorf("configuration %s has keys that do not exist:\n%s", path, strict.String())
		}
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	c.complete()
	if err := c.validate(); err != nil {
		return Config{}, fmt.Errorf("configuration %s:\n%w", path, err)
	}
	return c, nil
}

// complete fills in what follows from the rest.
func (c *Config) complete() {
	if c.Socket == "" {
		c.Socket = filepath.Join(c.Data, "hub.sock")
	}
	if c.Database == "" {
		c.Database = "sqlite:" + filepath.Join(c.Data, "hub.db")
	}
	if len(c.Broker.Advertise) == 0 {
		c.Broker.Advertise = c.Broker.Cluster
	}
	if len(c.Broker.Advertise) == 0 {
		c.Broker.Advertise = []string{"tls://" + c.Broker.Listen}
	}
	if c.Enrol.URL == "" {
		c.Enrol.URL = "https://" + c.Enrol.Listen
	}
}

func (c Config) validate() error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if !gateway.ValidLabel(c.Site) {
		say("site: %q must be %s", c.Site, gateway.LabelRule)
	}
	if !filepath.IsAbs(c.Data) {
		say("data: %q must be an absolute path", c.Data)
	}
	for name, addr := range map[string]string{
		"broker.listen": c.Broker.Listen, "enrol.listen": c.Enrol.Listen, "metrics.listen": c.Metrics.Listen,
	} {
		optional := name == "metrics.listen" || name == "broker.listen" && len(c.Broker.Cluster) > 0
		if host, port, err := net.SplitHostPort(addr); (addr != "" || !optional) && (err != nil || host == "" || port == "" || port == "0") {
			say("%s: %q must be host:port, and name the address to listen on", name, addr)
		}
	}
	for _, u := range append([]string{c.Enrol.URL}, c.Broker.Advertise...) {
		if parsed, err := url.Parse(u); err != nil || parsed.Port() == "" || parsed.Port() == "0" {
			say("%q must be a URL with a host and a port that boxes reach", u)
		}
	}
	if len(c.Broker.Cluster) > 0 && (c.Broker.CA == "" || c.Broker.Certificate == "" || c.Broker.Key == "") {
		say("broker: a cluster needs ca, certificate and key")
	}
	if _, err := c.Enrol.admins(); err != nil {
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

func (e Enrol) admins() (keys []ed25519.PublicKey, err error) {
	for i, text := range e.Admins {
		key, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("enrol.admins: entry %d is not an Ed25519 public key in base64", i+1)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// names are all by which boxes may call the hub.
func (c Config) names() []string {
	names := append([]string(nil), c.Enrol.Names...)
	for _, u := range append([]string{c.Enrol.URL}, c.Broker.Advertise...) {
		if parsed, err := url.Parse(u); err == nil {
			names = append(names, parsed.Hostname())
		}
	}
	return names
}

package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Seed is a secret nkey. It shows itself to nobody.
type Seed string

func (Seed) String() string   { return "(secret)" }
func (Seed) GoString() string { return "(secret)" }

// LogValue keeps it out of logs that would take its JSON.
func (Seed) LogValue() slog.Value { return slog.StringValue("(secret)") }

// Keys are what the hub is known by at the broker. Every instance of a hub has the same.
type Keys struct {
	Hub    Seed `json:"hub"`    // user of the account with the streams; answers for the boxes
	System Seed `json:"system"` // user of the system account: reads the servers' state, cuts connections
	Issuer Seed `json:"issuer"` // account key that signs what a box may do
	Box    Seed `json:"xkey"`   // curve key that requests about boxes are encrypted to
}

// LoadKeys reads the keys from a file of mode 0600, and makes it where there is none.
func LoadKeys(path string) (Keys, error) {
	in, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKeys(path)
	}
	if err != nil {
		return Keys{}, fmt.Errorf("load broker keys: %w", err)
	}
	var k Keys
	if err := json.Unmarshal(in, &k); err != nil {
		return Keys{}, fmt.Errorf("load broker keys: %s does not hold them: put back the hub's backup", path)
	}
	if err := k.valid(); err != nil {
		return Keys{}, fmt.Errorf("load broker keys: %w", err)
	}
	return k, nil
}

// NewKeys makes keys that nobody has had.
func NewKeys() (Keys, error) {
	var k Keys
	for into, prefix := range map[*Seed]nkeys.PrefixByte{
		&k.Hub: nkeys.PrefixByteUser, &k.System: nkeys.PrefixByteUser, &k.Issuer: nkeys.PrefixByteAccount, &k.Box: nkeys.PrefixByteCurve,
	} {
		pair, err := newPair(prefix)
		if err != nil {
			return Keys{}, fmt.Errorf("make broker keys: %w", err)
		}
		seed, err := pair.Seed()
		if err != nil {
			return Keys{}, fmt.Errorf("make broker keys: %w", err)
		}
		*into = Seed(seed)
	}
	return k, nil
}

func newPair(prefix nkeys.PrefixByte) (nkeys.KeyPair, error) {
	if prefix == nkeys.PrefixByteCurve {
		return nkeys.CreateCurveKeys()
	}
	return nkeys.CreatePair(prefix)
}

// makeKeys writes new keys durably; of two hubs that do so at once, both get those of the first.
func makeKeys(path string) (Keys, error) {
	k, err := NewKeys()
	if err != nil {
		return Keys{}, err
	}
	out, err := json.Marshal(k)
	if err != nil {
		return Keys{}, fmt.Errorf("make broker keys: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".broker-keys-*") // mode 0600
	if err != nil {
		return Keys{}, fmt.Errorf("make broker keys: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(out)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return Keys{}, fmt.Errorf("make broker keys: %w", err)
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return LoadKeys(path)
	} else if err != nil {
		return Keys{}, fmt.Errorf("make broker keys: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return Keys{}, fmt.Errorf("make broker keys: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return Keys{}, fmt.Errorf("make broker keys: %w", err)
	}
	return k, nil
}

func (k Keys) valid() error {
	for name, s := range map[string]Seed{"hub": k.Hub, "system": k.System, "issuer": k.Issuer, "xkey": k.Box} {
		if _, err := s.public(); err != nil {
			return fmt.Errorf("the %s key is not one", name)
		}
	}
	return nil
}

func (s Seed) pair() (nkeys.KeyPair, error) {
	if strings.HasPrefix(string(s), "SX") {
		return nkeys.FromCurveSeed([]byte(s))
	}
	return nkeys.FromSeed([]byte(s))
}

func (s Seed) public() (string, error) {
	pair, err := s.pair()
	if err != nil {
		return "", err
	}
	return pair.PublicKey()
}

func (s Seed) signer() (string, nats.SignatureHandler, error) {
	pair, err := s.pair()
	if err != nil {
		return "", nil, errors.New("the key is not one")
	}
	public, err := pair.PublicKey()
	return public, pair.Sign, err
}

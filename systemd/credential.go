package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// maxCredential is systemd's own limit, in bytes.
const maxCredential = 1 << 20

// ErrNoCredential says that systemd gave the process no credential of that name, or none at all.
var ErrNoCredential = errors.New("no such credential")

// Credential reads a secret that the unit file loads (LoadCredential, LoadCredentialEncrypted). The error names the
// credential and what to do, never its content.
func Credential(name string) ([]byte, error) {
	directory := os.Getenv("CREDENTIALS_DIRECTORY")
	if directory == "" {
		return nil, fmt.Errorf("read credential %s: %w: not started by systemd with credentials "+
			"(CREDENTIALS_DIRECTORY is not set)", name, ErrNoCredential)
	}
	root, err := os.OpenRoot(directory) // a name cannot lead out of it
	if err != nil {
		return nil, fmt.Errorf("read credential %s: %w", name, err)
	}
	defer root.Close()
	found, err := root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read credential %s: %w: add LoadCredential=%s or LoadCredentialEncrypted=%s to the unit",
			name, ErrNoCredential, name, name)
	}
	if err != nil {
		return nil, fmt.Errorf("read credential %s: %w", name, err)
	}
	switch {
	case !found.Mode().IsRegular():
		return nil, fmt.Errorf("read credential %s: not a file", name)
	case found.Size() == 0:
		return nil, fmt.Errorf("read credential %s: it is empty", name)
	case found.Size() > maxCredential:
		return nil, fmt.Errorf("read credential %s: %d bytes, more than %d", name, found.Size(), maxCredential)
	}
	secret, err := root.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read credential %s: %w", name, err)
	}
	return secret, nil
}

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"tapward/systemd"
)

// keyFiles are all keys of a hub, by the names of their files and credentials.
var keyFiles = []string{"ca.pem", "broker-keys.json", "release-key", "log-key", "stored-key", "accepted-key"}

// lockFolder keeps a second hub out of the data folder. The kernel lets go of it when the process ends, however it ends.
func lockFolder(folder string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(folder, "hub.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another hub runs in %s; stop that first", folder)
		}
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	return f, nil
}

// existingKeys are for who only looks: only the hub itself makes keys.
func existingKeys(c Config) (keys, error) {
	for _, name := range keyFiles {
		if _, err := systemd.Credential(name); !errors.Is(err, systemd.ErrNoCredential) {
			continue
		}
		if _, err := os.Stat(filepath.Join(c.Data, name)); errors.Is(err, fs.ErrNotExist) {
			return keys{}, fmt.Errorf("there is no %s in %s: is the configuration right, and has the hub run there once?", name, c.Data)
		}
	}
	return readKeys(c)
}

// madeKeys makes what is missing, before the hub runs for the first time.
func madeKeys(c Config) (keys, error) {
	lock, err := lockFolder(c.Data)
	if err != nil {
		return keys{}, err
	}
	defer lock.Close()
	return readKeys(c)
}

// private refuses keys that others may read.
func private(folder string) error {
	for _, name := range keyFiles {
		info, err := os.Stat(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the %s: %w", name, err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("the %s in %s may be read by others (mode %04o): make it 0600", name, folder, info.Mode().Perm())
		}
	}
	return nil
}

// digest names the hub by its public keys.
func (k keys) digest() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{k.ca.Fingerprint().String(), k.storedBy, k.acceptedBy, k.logBy}, "\n")))
	return hex.EncodeToString(sum[:])
}

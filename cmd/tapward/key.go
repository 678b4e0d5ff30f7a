package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/phone/link"
)

// The names of the box's keys, as files of its data folder and as systemd credentials.
const (
	linkKey  = "link-key"
	logKey   = "log-key"
	badgeKey = "badge-key"
)

// boxKeys are the three keys, each with what may be shown of it.
var boxKeys = []struct {
	name   string
	public func(text []byte) (string, error)
}{
	{linkKey, publicLink},
	{logKey, publicLog},
	{badgeKey, publicBadge},
}

func publicLink(text []byte) (string, error) {
	id, err := link.ParseIdentity(text)
	if err != nil {
		return "", err
	}
	return "link fingerprint  " + id.Fingerprint().String(), nil
}

func publicLog(text []byte) (string, error) {
	key, err := audit.PublicKey(strings.TrimSpace(string(text)))
	if err != nil {
		return "", err
	}
	return "log verifier key  " + key, nil
}

func publicBadge(text []byte) (string, error) {
	if _, err := parseBadgeKey(text); err != nil {
		return "", err
	}
	return "badge key         present; nothing of it is shown", nil
}

func parseBadgeKey(text []byte) (key gateway.BadgeKey, err error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != len(key) {
		return key, fmt.Errorf("it must be %d bytes in base64", len(key))
	}
	copy(key[:], raw)
	return key, nil
}

// writeNew puts content durably into a file that only its owner may read, whole or not at all. A file that is there is
// never overwritten: the error is then fs.ErrExist.
func writeNew(path string, content []byte) error {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // fails where path exists, unlike rename
		return err
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

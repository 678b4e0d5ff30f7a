package main

import (
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
	if _, err := gateway.ParseBadgeKey(text); err != nil {
		return "", err
	}
	return "badge key         present; nothing of it is shown", nil
}

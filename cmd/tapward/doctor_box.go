package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/kernel"
)

func checkDaemon(_ context.Context, p patient) []finding {
	if p.ward == nil {
		return []finding{{ill, "daemon", "tapwardd: " + p.away.Error(),
			"systemctl status tapwardd says whether it runs, journalctl -u tapwardd why not; the socket is for root and the group tapward"}}
	}
	w := p.ward
	found := []finding{{well, "daemon", fmt.Sprintf("tapwardd answers as box %s, up %s, with %d records in its log", w.Box, w.Up.Round(time.Second), w.Log.Size), ""}}
	if w.Box != p.config.Box {
		found = append(found, finding{ill, "daemon", fmt.Sprintf("it runs as box %s; the configuration says box %s", w.Box, p.config.Box),
			"restart tapwardd, or give doctor the configuration that it runs with"})
	}
	return found
}

func checkPolicy(_ context.Context, p patient) []finding {
	switch {
	case p.ward == nil:
		return []finding{{doubt, "policy", "cannot be looked at while tapwardd does not answer", "mend that first"}}
	case !p.ward.Policy.Loaded:
		return []finding{{ill, "policy", "none is loaded: every tap is refused", "tapward policy load FILE"}}
	case !p.ward.Policy.Signed:
		return []finding{{doubt, "policy", fmt.Sprintf("version %d is an unsigned demo policy", p.ward.Policy.Version),
			"before patients are involved, the security and the clinical lead must both sign it"}}
	}
	return []finding{{well, "policy", fmt.Sprintf("version %d, signed", p.ward.Policy.Version), ""}}
}

func checkPhones(_ context.Context, p patient) []finding {
	if p.ward == nil {
		return nil
	}
	if len(p.ward.Phones) == 0 {
		return []finding{{doubt, "phones", "none is paired", "tapward phone add"}}
	}
	linked := 0
	var found []finding
	for _, phone := range p.ward.Phones {
		if phone.Linked {
			linked++
		}
		if phone.Phase == "quarantined" {
			found = append(found, finding{doubt, "phones", fmt.Sprintf("%s is quarantined: %s", phone.ID, phone.Reason.Sentence()),
				fmt.Sprintf("have it looked at, then tapward phone release %s", phone.ID)})
		}
	}
	all := finding{well, "phones", fmt.Sprintf("%d of %d paired phones are linked", linked, len(p.ward.Phones)), ""}
	if linked < len(p.ward.Phones) {
		all.Level, all.Do = doubt, "see that the others are switched on and in the ward's network; tapward phone list names them"
	}
	return append([]finding{all}, found...)
}

// oldest is before any clock that was ever set on a box.
var oldest = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func checkClock(now time.Time) finding {
	const do = "timedatectl says what synchronises it; the ward needs a time server that the box can reach"
	switch state := kernel.Clock(); {
	case now.Before(oldest):
		return finding{ill, "clock", "was never set: it says " + now.UTC().Format(time.DateTime), do}
	case state != audit.Synchronised:
		return finding{doubt, "clock", fmt.Sprintf("is %s: records say so, and ages are counted with care", strings.ReplaceAll(string(state), "-", " ")), do}
	}
	return finding{well, "clock", "is synchronised", ""}
}

// credentials is where a box's sealed keys lie, for systemd to hand to the daemon.
const credentials = "/etc/credstore.encrypted"

func checkKeys(_ context.Context, p patient) []finding {
	var found []finding
	for _, k := range boxKeys {
		found = append(found, checkKey(k.name, k.public, p.config.Data, p.config.Box))
	}
	return found
}

func checkKey(name string, public func([]byte) (string, error), folder string, box gateway.BoxID) finding {
	path := filepath.Join(folder, name)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(credentials, name)); err == nil {
			return finding{well, "keys", name + " is a sealed credential of the unit", ""}
		}
		return finding{ill, "keys", name + " is missing", fmt.Sprintf("tapward keys --data %s --box %s", folder, box)}
	}
	if err != nil {
		return finding{ill, "keys", "cannot read " + path + ": " + cause(err), "run doctor as root"}
	}
	if _, err := public(text); err != nil {
		return finding{ill, "keys", name + " cannot be used: " + err.Error(), "put the right key back from its safe; a new one makes another box of it"}
	}
	if stat, err := os.Stat(path); err == nil && stat.Mode().Perm()&0o077 != 0 {
		return finding{ill, "keys", fmt.Sprintf("%s may be read by others (mode %04o)", name, stat.Mode().Perm()), "chmod 600 " + path}
	}
	return finding{well, "keys", name + " is there and for its owner only", ""}
}

// cause is an error without the path that it repeats.
func cause(err error) string {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}

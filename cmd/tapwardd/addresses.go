package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/durable"
	"tapward/gateway/phone"
)

const (
	addressFile   = "phone-addresses.json"
	addressesOf   = 3               // remembered of one phone, the newest first
	addressPhones = 1024            // phones remembered
	addressPace   = 5 * time.Second // between two writes of the file
)

// addresses remember where phones were reached last, so that a box that starts again finds them without mDNS and before
// the first advert. They are no more than places to try: a phone proves itself there or is not there. What cannot be
// read or written is done without.
type addresses struct {
	path    string
	log     *slog.Logger
	reached chan reached
	known   map[gateway.PhoneID][]netip.AddrPort // Run's, once it runs
}

type reached struct {
	phone gateway.PhoneID
	addr  netip.AddrPort
}

func readAddresses(folder string, log *slog.Logger) *addresses {
	a := &addresses{
		path: filepath.Join(folder, addressFile), log: log,
		reached: make(chan reached, 256), known: map[gateway.PhoneID][]netip.AddrPort{},
	}
	text, err := os.ReadFile(a.path)
	if err == nil {
		err = json.Unmarshal(text, &a.known)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("Cannot read where phones were last; they are looked for", "err", err)
		a.known = map[gateway.PhoneID][]netip.AddrPort{}
	}
	return a
}

// propose gives what is remembered of the paired phones to try, and forgets the others.
func (a *addresses) propose(paired []gateway.Phone, to func(phone.Sighting)) {
	kept := make(map[gateway.PhoneID][]netip.AddrPort, len(paired))
	for _, p := range paired {
		if addrs := a.known[p.ID]; len(addrs) > 0 {
			kept[p.ID] = addrs[:min(len(addrs), addressesOf)]
			to(phone.Sighting{At: time.Now(), Name: string(p.ID), Key: p.Key, Addrs: kept[p.ID]})
		}
	}
	a.known = kept
}

// heard does not wait: an address that finds no room is heard of again with the phone's next link. A host's name is not
// remembered, since only the configuration gives one.
func (a *addresses) heard(id gateway.PhoneID, addr string) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return
	}
	select {
	case a.reached <- reached{id, at}:
	default:
	}
}

// run writes the file some time after a change, and once more at the end.
func (a *addresses) run(ctx context.Context) error {
	var save <-chan time.Time // set while something is not written
	for {
		select {
		case r := <-a.reached:
			if a.remember(r) && save == nil {
				save = time.After(addressPace)
			}
		case <-save:
			save = nil
			a.write()
		case <-ctx.Done():
			if save != nil {
				a.write()
			}
			return nil
		}
	}
}

// remember says whether that was news.
func (a *addresses) remember(r reached) bool {
	addrs, known := a.known[r.phone]
	if len(addrs) > 0 && addrs[0] == r.addr || !known && len(a.known) >= addressPhones {
		return false
	}
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(old netip.AddrPort) bool { return old == r.addr })
	addrs = slices.Insert(addrs, 0, r.addr)
	a.known[r.phone] = addrs[:min(len(addrs), addressesOf)]
	return true
}

func (a *addresses) write() {
	text, err := json.MarshalIndent(a.known, "", "  ")
	if err == nil {
		err = durable.Replace(a.path, append(text, '\n'))
	}
	if err != nil {
		a.log.Warn("Cannot write down where phones were last", "err", err)
	}
}

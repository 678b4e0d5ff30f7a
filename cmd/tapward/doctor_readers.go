package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"tapward/gateway"
	"tapward/reader"
	"tapward/reader/pcsc"
	"tapward/reader/serial"
)

// checkReaders asks the daemon where it runs, because it has the readers to itself. Where it does not, doctor opens the
// readers as the daemon would, and says what it would meet.
func checkReaders(ctx context.Context, p patient) []finding {
	if len(p.config.PCSC)+len(p.config.Serial) == 0 {
		return []finding{{doubt, "readers", "none is configured", "give the configuration a [[pcsc]] or [[serial]] reader"}}
	}
	var found []finding
	var try []reader.Source // what nothing is wrong with so far
	if len(p.config.PCSC) > 0 {
		f := checkPCSC(ctx)
		if found = append(found, f); f.Level != ill {
			try = append(try, pcscSource(p.config)...)
		}
	}
	for _, c := range p.config.Serial {
		f := checkDevice(c)
		if found = append(found, f); f.Level != ill {
			try = append(try, serialSource(c)...)
		}
	}
	if p.ward != nil {
		return append(found, toldReaders(p.ward)...)
	}
	for _, s := range try {
		found = append(found, trySource(ctx, s)...)
	}
	return found
}

// toldReaders is what the daemon says of its readers.
func toldReaders(w *gateway.Ward) (found []finding) {
	for _, r := range w.Readers {
		if r.Since.IsZero() {
			found = append(found, finding{doubt, "readers", fmt.Sprintf("%s has not said yet how it is", r.ID), "run doctor again in a minute"})
			continue
		}
		found = append(found, readerFinding(reader.Status{Reader: r.ID, State: r.State, Note: r.Note}))
	}
	return found
}

func checkPCSC(ctx context.Context) finding {
	ctx, cancel := context.WithTimeout(ctx, daemonTime)
	defer cancel()
	names, err := pcsc.Connected(ctx)
	switch {
	case err != nil:
		return finding{ill, "readers", "pcscd: " + err.Error(), "systemctl start pcscd.socket; apt install pcscd where it is missing"}
	case len(names) == 0:
		return finding{ill, "readers", "pcscd runs and has no reader", "plug the reader in; lsusb shows whether the machine sees it, and its driver package may be missing (libccid, libacsccid1)"}
	}
	return finding{well, "readers", fmt.Sprintf("pcscd has %q", names), ""}
}

// checkDevice looks at a serial port's device file.
func checkDevice(c serial.Config) finding {
	stat, err := os.Stat(c.Device)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return finding{ill, "readers", fmt.Sprintf("%s: there is no %s", c.ID, c.Device), "plug the reader in; ls /dev/serial/by-id shows what is there"}
	case err != nil:
		return finding{ill, "readers", fmt.Sprintf("%s: %s: %s", c.ID, c.Device, cause(err)), "run doctor as root"}
	case stat.Mode()&os.ModeCharDevice == 0:
		return finding{ill, "readers", fmt.Sprintf("%s: %s is no serial port", c.ID, c.Device), "give the port's path in /dev/serial/by-id"}
	}
	group := groupName(int(stat.Sys().(*syscall.Stat_t).Gid))
	if mode := stat.Mode().Perm(); mode&0o006 != 0o006 && (mode&0o060 != 0o060 || group != "dialout") {
		return finding{doubt, "readers", fmt.Sprintf("%s: %s belongs to group %s with mode %04o; tapwardd's unit has the group dialout", c.ID, c.Device, group, mode),
			"give the port to dialout by a udev rule, or the unit that group by SupplementaryGroups="}
	}
	return finding{well, "readers", fmt.Sprintf("%s: %s is there, for group %s", c.ID, c.Device, group), ""}
}

func groupName(id int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(id)); err == nil {
		return g.Name
	}
	return strconv.Itoa(id)
}

func readerFinding(s reader.Status) finding {
	what := fmt.Sprintf("%s is %s", s.Reader, s.State)
	if s.Note != "" {
		what += ": " + s.Note
	}
	switch s.State {
	case gateway.ReaderUp:
		return finding{well, "readers", what, ""}
	case gateway.ReaderDegraded:
		return finding{doubt, "readers", what, "see to the reader's cable and settings"}
	}
	return finding{ill, "readers", what, "see to the reader's cable, its power and the name it is matched by"}
}

// pcscSource and serialSource make a reader as the daemon does; what is wrong with its configuration, checkConfig says.
func pcscSource(c config) []reader.Source {
	var readers pcsc.Config
	for _, r := range c.PCSC {
		readers.Readers = append(readers.Readers, pcsc.Reader{ID: r.ID, Match: r.Match})
	}
	s, err := pcsc.New(readers, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil
	}
	return []reader.Source{s}
}

func serialSource(c serial.Config) []reader.Source {
	s, err := serial.New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil
	}
	return []reader.Source{s}
}

// readerTime is how long a reader may take to say how it is.
const readerTime = 3 * time.Second

// trySource runs readers until each has said how it is. Badges that lie there are not looked at.
func trySource(ctx context.Context, s reader.Source) (found []finding) {
	ctx, cancel := context.WithTimeout(ctx, readerTime)
	defer cancel()
	events := make(chan reader.Event)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, events) }()
	said := map[gateway.ReaderID]reader.Status{}
	for {
		select {
		case e := <-events:
			if status, ok := e.(reader.Status); ok {
				said[status.Reader] = status
			}
			if len(said) == len(s.Readers()) {
				cancel()
			}
		case err := <-ended:
			for _, id := range s.Readers() {
				found = append(found, outcome(id, said, err))
			}
			return found
		}
	}
}

// outcome is what a reader said before its run ended, or why it said nothing.
func outcome(id gateway.ReaderID, said map[gateway.ReaderID]reader.Status, err error) finding {
	if status, ok := said[id]; ok {
		return readerFinding(status)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("it did not say how it is within %s", readerTime)
	}
	return readerFinding(reader.Status{Reader: id, Note: err.Error()})
}

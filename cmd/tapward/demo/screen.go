package demo

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Screen tells on one screen what a ward that runs can do: where to look, what to type in another terminal, and where
// everything is kept.
func Screen(out io.Writer, dir string, p Place) {
	tool := called(dir)
	var pages strings.Builder
	for _, h := range phones {
		fmt.Fprintf(&pages, "  %-9s %s\n", h.id, p.Pages[h.id])
	}
	fmt.Fprintf(out, `
The demo ward is open.

Station   %s   (its certificate is its own: the browser asks once)
%s
In another terminal:
  %[3]s sim tap door ana                  Ana checks a phone out
  %[3]s sim phone phone-1 undock          she takes it along
  %[3]s sim phone phone-1 present door    it is held to the door's reader,
  %[3]s sim tap door ben                  and Ben taps: a hand-off
  %[3]s sim phone phone-1 dock rack-2     he returns it
  %[3]s sim tap dock-1 stranger           an unknown badge
  %[3]s sim pull med-room                 a cable is pulled; plug puts it back
  %[3]s sim restart                       kill -9 and start of tapwardd
  %[3]s status --socket %[4]s
  %[3]s log --socket %[4]s

The hospital's hub keeps every record. Pull its plug, tap on, plug it in, and watch its archive catch up:
  %[3]s sim uplink down                   the hub is gone as in a power cut
  %[3]s sim tap door cora                 hand-offs go on; the station says what waits
  %[3]s sim uplink up                     and what waited arrives
  %[8]s status --config %[9]s   also: boxes, log, history demo-box

Readers   door and dock-1 (PC/SC), med-room (serial)
Badges    %[5]s
          finn's has expired, gus's is blocked, stranger's nobody knows
Data      %[6]s   (logs in %[7]s)

Ctrl-C closes the ward; make run opens it again where it was.
`, p.Station, pages.String(), tool, shown(BoxSocket(dir)),
		strings.Join(BadgeNames(), " "), shown(dir), shown(filepath.Join(dir, "log")),
		beside("tapward-hub"), shown(hubConfig(dir)))
}

// called is how to call the tool from here, for this ward.
func called(dir string) string {
	tool := beside("tapward")
	if here, err := filepath.Abs("demo"); err == nil && here != dir {
		tool = "TAPWARD_DEMO=" + shown(dir) + " " + tool
	}
	return tool
}

// beside is how to call one of the programs from here: they lie in one folder.
func beside(name string) string {
	self, err := os.Executable()
	if err != nil {
		return name
	}
	return shown(filepath.Join(filepath.Dir(self), name))
}

// shown is a path as short as it can be told from here.
func shown(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	short, err := filepath.Rel(here, path)
	if err != nil || len(short) >= len(path) {
		return path
	}
	return short
}

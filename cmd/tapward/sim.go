package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"tapward/cmd/tapward/demo"
	"tapward/gateway"
	"tapward/gateway/station"
)

// simCommand plays the parts of a ward that are not there.
type simCommand struct {
	Ward    simWard    `cmd:"" help:"Run a demo ward until Ctrl-C; it goes on where it was when it is run again."`
	Tap     simTap     `cmd:"" help:"Hold a badge to a reader of the demo ward for a moment."`
	Pull    simPull    `cmd:"" help:"Pull a reader's cable. The PC/SC readers have theirs in common."`
	Plug    simPlug    `cmd:"" help:"Plug it in again."`
	Phone   simPhone   `cmd:"" help:"Make something happen to a phone's body."`
	Restart simRestart `cmd:"" help:"Kill tapwardd with kill -9, and start it."`
	Uplink  simUplink  `cmd:"" help:"Pull the hub's plug: it is gone as in a power cut. Put it in again."`
	Story   simStory   `cmd:"" help:"Play a day on a new demo ward, and check what comes of every step."`
	Direct  simDirect  `embed:""`

	Inside simInside `cmd:"" hidden:""`
}

// wardFolder is the demo ward that a command speaks to.
type wardFolder struct {
	Dir string `help:"The demo ward's folder." default:"demo" type:"path" env:"TAPWARD_DEMO" placeholder:"DIR"`
}

// wardPorts are where a demo ward can be seen on this machine.
type wardPorts struct {
	Station string `help:"Where the station page is." default:"127.0.0.1:8443" placeholder:"HOST:PORT"`
	Pages   string `help:"Where the first phone's screen is; the others take the ports after it." default:"127.0.0.1:8101" placeholder:"HOST:PORT"`
}

type simWard struct {
	Dir string `arg:"" optional:"" default:"demo" type:"path" help:"The folder that keeps everything."`
	wardPorts
}

func (c simWard) Run(ctx context.Context, t terminal) error {
	fmt.Fprintln(t.out, "The demo ward is starting …")
	err := demo.Ward{Dir: c.Dir, Station: c.Station, Pages: c.Pages}.Run(ctx, func(p demo.Place) {
		demo.Screen(t.out, c.Dir, p)
	})
	if err == nil && ctx.Err() != nil {
		fmt.Fprintf(t.out, "\nThe demo ward is closed. Everything is kept in %s.\n", c.Dir)
	}
	return err
}

// simInside is the part of a demo ward that runs in namespaces of its own; simWard starts it.
type simInside struct {
	Dir string `arg:"" type:"path"`
}

func (c simInside) Run(ctx context.Context) error { return demo.Inside(ctx, c.Dir) }

type simTap struct {
	wardFolder
	Reader gateway.ReaderID `arg:"" help:"door, dock-1 or med-room."`
	Badge  string           `arg:"" help:"Whose badge; the ward lists them where there is no such."`
}

func (c simTap) Run(ctx context.Context, t terminal) error {
	return c.tell(ctx, t.out, c.Reader, func() error {
		return demo.Ask(ctx, c.Dir, demo.Order{Do: "tap", At: string(c.Reader), Badge: c.Badge})
	})
}

// tellTime is how long a tap's answer may take.
const tellTime = 12 * time.Second

// tell has a badge tapped and says what the station says to it.
func (f wardFolder) tell(ctx context.Context, out io.Writer, reader gateway.ReaderID, tap func() error) error {
	began := time.Now()
	if err := tap(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	told := errors.New("told")
	err := station.NewClient(demo.BoxSocket(f.Dir)).Watch(ctx, func(w *gateway.Ward) error {
		i := slices.IndexFunc(w.Taps, func(t gateway.WardTap) bool { return t.Reader == reader && !t.At.Before(began) })
		if i < 0 || w.Taps[i].Signal == gateway.Seen {
			return nil
		}
		a := w.Taps[i]
		fmt.Fprintln(out, strings.Join(strings.Fields(fmt.Sprintf("%s: %s %s %s", a.Signal, a.Who, a.Phone, a.Reason.Sentence())), " "))
		return told
	})
	switch {
	case errors.Is(err, told):
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("no answer to the tap within %v: a badge counts anew after it was away for 2 s; look at the station", tellTime)
	}
	return err
}

type simPull struct {
	wardFolder
	Reader string `arg:"" help:"door, dock-1 or med-room."`
}

func (c simPull) Run(ctx context.Context) error {
	return demo.Ask(ctx, c.Dir, demo.Order{Do: "pull", At: c.Reader})
}

type simPlug struct {
	wardFolder
	Reader string `arg:"" help:"door, dock-1 or med-room."`
}

func (c simPlug) Run(ctx context.Context) error {
	return demo.Ask(ctx, c.Dir, demo.Order{Do: "plug", At: c.Reader})
}

type simPhone struct {
	wardFolder
	ID   string `arg:"" help:"phone-1, phone-2 or phone-3."`
	Do   string `arg:"" help:"undock, dock SLOT, present READER, pickup, use, battery N, drop, offline, online, sleep or wake."`
	With string `arg:"" optional:"" help:"The slot, the reader, the per cent, or yes and no."`
}

func (c simPhone) Run(ctx context.Context) error {
	return demo.Ask(ctx, c.Dir, demo.Order{Do: "phone", At: c.ID, Act: c.Do, With: c.With})
}

type simRestart struct{ wardFolder }

func (c simRestart) Run(ctx context.Context) error {
	return demo.Ask(ctx, c.Dir, demo.Order{Do: "restart"})
}

type simUplink struct {
	wardFolder
	To string `arg:"" enum:"down,up" help:"down pulls the plug, up puts it in again."`
}

func (c simUplink) Run(ctx context.Context) error {
	return demo.Ask(ctx, c.Dir, demo.Order{Do: "uplink", Act: c.To})
}

type simStory struct {
	Dir string `arg:"" optional:"" default:".demo" type:"path" help:"The folder of the ward; an earlier story's is emptied."`
	wardPorts
}

func (c simStory) Run(ctx context.Context, t terminal) error {
	return demo.Ward{Dir: c.Dir, Station: c.Station, Pages: c.Pages}.Story(ctx, t.out)
}

// Command tapwardd runs a ward: it reads badges, hands out phones, keeps the audit log and shows the station page.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// flags are all of the command line; everything else is in the configuration file.
type flags struct {
	Config string `help:"The box's configuration." type:"path" default:"/etc/tapward/tapwardd.toml"`
	Check  bool   `help:"Check the configuration, and the keys where they can be read, and end."`
	Trace  string `help:"Append every step of the session machine to this file, for tapward replay." type:"path"`
	Debug  bool   `help:"Log more."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("tapwardd"), kong.Description("Runs a ward's box: badges in, phones out, everything on record."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "tapwardd:", err)
		os.Exit(1)
	}
}

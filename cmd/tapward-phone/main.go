// Command tapward-phone is the reference agent of a ward's shared phone, and the examiner of other agents.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands are all that the program can do, in the order of its help.
type commands struct {
	Config string `help:"The phone's configuration." type:"path" default:"/etc/tapward/phone.toml" env:"TAPWARD_PHONE_CONFIG" placeholder:"PATH"`

	Init        initCommand        `cmd:"" help:"Make a phone: its key, its lock state and, where there is none, its configuration."`
	Fingerprint fingerprintCommand `cmd:"" help:"Print the fingerprint of the phone's key, to be compared when it is paired."`
	Trust       trustCommand       `cmd:"" help:"Trust a box whose fingerprint you compared on both screens."`
	Untrust     untrustCommand     `cmd:"" help:"Trust a box no longer; its link ends."`
	Run         runCommand         `cmd:"" help:"Be the phone."`
	Ctl         ctlCommand         `cmd:"" help:"Tell a running phone what happens to it, or show how it stands."`
	Conformance conformanceCommand `cmd:"" help:"Examine any phone's agent against the protocol."`
}

// Main is one invocation of the program.
type Main struct {
	Args           []string // without the program's name
	Stdout, Stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(Main{os.Args[1:], os.Stdout, os.Stderr}.Run(ctx))
}

// Run parses and carries out a command line, and returns the exit code: 0 done, 1 failed, 2 not understood.
func (m Main) Run(ctx context.Context) (code int) {
	var c commands
	exited := false
	parser, err := kong.New(&c, kong.Name("tapward-phone"), kong.Description("A shared phone of a ward, and its examiner."),
		kong.Writers(m.Stdout, m.Stderr), kong.Exit(func(n int) { code, exited = n, true }),
		kong.Vars{"gestures": gestures}, kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(m))
	if err != nil {
		panic(err) // the commands above are wrong
	}
	parsed, err := parser.Parse(m.Args)
	switch {
	case exited: // --help
		return code
	case err != nil:
		parser.Errorf("%s", err)
		return 2
	}
	if err := parsed.Run(configPath(c.Config)); err != nil {
		parser.Errorf("%s", err)
		return 1
	}
	return 0
}

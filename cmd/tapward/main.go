// Command tapward is the operator's tool: it asks a box how it is, tells it what to do, and checks its audit log without
// trusting it.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"tapward/gateway/station"
)

// commands are all that the tool can do, in the order of its help.
type commands struct {
	Status     statusCommand     `cmd:"" help:"Show the ward: phones, holders, readers, last taps, and how the box is."`
	Phone      phoneCommands     `cmd:"" help:"Pair, list, release and remove phones."`
	Takeover   takeoverCommand   `cmd:"" help:"Let the next tap at a reader take a phone over."`
	Policy     policyCommands    `cmd:"" help:"Check and load the ward policy with its roster."`
	Badge      badgeCommands     `cmd:"" help:"Prepare badges for the roster."`
	Keys       keysCommand       `cmd:"" help:"Make the box's keys that are missing, and show their public parts."`
	Log        logCommand        `cmd:"" help:"Read the audit log."`
	Checkpoint checkpointCommand `cmd:"" help:"Print the log's newest signed checkpoint, to keep elsewhere."`
	Verify     verifyCommand     `cmd:"" help:"Re-check the whole audit log, offline."`
	Replay     replayCommand     `cmd:"" help:"Run a recorded trace through the session machine again."`
	Doctor     doctorCommand     `cmd:"" help:"Find out what is wrong with this box, and what to do."`

	Sim simCommand `cmd:"" help:"Play badges, readers and phones for a demonstration or a test."`
}

// terminal is where commands read what they must not take from the command line, and write what they were asked for.
type terminal struct {
	in  io.Reader
	out io.Writer
}

// unitSocket is where systemd opens the local socket of a box that was installed from its package.
const unitSocket = "/run/tapward/api.sock"

// Box is the running box that a command speaks to.
type Box struct {
	Socket string `help:"The box's local socket." default:"${socket}" env:"TAPWARD_SOCKET" type:"path" placeholder:"PATH"`
}

func (b Box) client() *station.Client { return station.NewClient(b.Socket) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// run parses and carries out a command line, and returns the exit code: 0 done, 1 failed or found something wrong, 2 not
// understood.
func run(ctx context.Context, args []string) int {
	var c commands
	parser, err := kong.New(&c, kong.Name("tapward"), kong.Description("Asks and tells a ward's box, and checks its log."),
		kong.Vars{"socket": unitSocket}, kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(terminal{os.Stdin, os.Stdout}))
	if err != nil {
		panic(err) // the commands above are wrong
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		parser.Errorf("%s", err)
		return 2
	}
	if err := parsed.Run(); err != nil {
		parser.Errorf("%s", err)
		return 1
	}
	return 0
}

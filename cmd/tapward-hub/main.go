// Command tapward-hub is the hospital's side: it lets boxes in, keeps what they recorded, and brings them what the
// hospital decided.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands are all that the program can do, in the order of its help. All but run speak to the running hub.
type commands struct {
	Run       runCommand       `cmd:"" help:"Run the hub."`
	Status    statusCommand    `cmd:"" help:"Show how the hub is: broker, archive, boxes, alarms."`
	Claims    claimsCommand    `cmd:"" help:"List the boxes that wait to be let in."`
	Confirm   confirmCommand   `cmd:"" help:"Let a box in, after comparing its code with the one it shows."`
	Decline   declineCommand   `cmd:"" help:"Turn a box away."`
	Expect    expectCommand    `cmd:"" help:"Take a signed list of expected boxes."`
	Boxes     boxesCommand     `cmd:"" help:"List the boxes that were let in, and what of their logs is archived."`
	Policy    policyCommand    `cmd:"" help:"Give a policy with its roster to every box of the site."`
	Revoke    revokeCommand    `cmd:"" help:"Take something away, at once: a box, a person, a badge, a phone."`
	Reinstate reinstateCommand `cmd:"" help:"Undo the revocation of a box."`
	Vacate    vacateCommand    `cmd:"" help:"Free the name of a revoked box for another machine."`
	Forget    forgetCommand    `cmd:"" help:"Erase who a clinician was from every archived record; proofs hold."`
	Backup    backupCommand    `cmd:"" help:"Write a copy of the hub's SQLite database, also while it runs."`
	Alarms    alarmsCommand    `cmd:"" help:"List what a person must look at."`
	Lift      liftCommand      `cmd:"" help:"Close an alarm, and take a quarantined log again."`
	Log       logCommand       `cmd:"" help:"Read the archive: records of every box, and of the hub itself."`
	Export    exportCommand    `cmd:"" help:"Write archived records to a file, as FHIR, OCSF or CSV."`
	Exports   exportsCommand   `cmd:"" help:"Look after the exports to other systems."`
	History   historyCommand   `cmd:"" help:"Write a box's whole log as the archive has it, for tapward verify --from-hub."`
	Keys      keysCommand      `cmd:"" help:"Print the hub's public keys: for the configuration of boxes, and for verifiers and witnesses."`
	Broker    brokerCommand    `cmd:"" help:"Print what every nats-server.conf of a cluster of your own needs."`
}

// place is where commands write what they were asked for.
type place struct{ out io.Writer }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdout))
}

// execute carries out a command line and returns the exit code: 0 done, 1 failed, 2 not understood.
func execute(ctx context.Context, args []string, out io.Writer) int {
	var c commands
	parser, err := kong.New(&c, kong.Name("tapward-hub"), kong.Description("The hospital's side of its ward boxes."),
		kong.Vars{"config": "/etc/tapward/tapward-hub.toml"}, kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(place{out}))
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

//go:build demo

package main

import (
	"context"

	"tapward/cmd/tapward/demo"
	"tapward/gateway"
)

// simDirect are the commands that only a build with the demo tag has.
type simDirect struct {
	Inject simInject `cmd:"" help:"Tap past readers and drivers, straight into tapwardd; its log says so. Only builds with the demo tag can."`
}

type simInject struct {
	wardFolder
	Reader gateway.ReaderID `arg:"" help:"The reader to have been tapped at."`
	Badge  string           `arg:"" help:"Whose badge; the ward lists them where there is no such."`
}

func (c simInject) Run(ctx context.Context, t terminal) error {
	return c.tell(ctx, t.out, c.Reader, func() error {
		return demo.TapDirectly(ctx, c.Dir, string(c.Reader), c.Badge)
	})
}

package main

import (
	"context"
	"fmt"

	"tapward/gateway"
)

// takeoverCommand does what "take over" at the station does.
type takeoverCommand struct {
	Box
	Reader gateway.ReaderID `arg:"" help:"Where the badge will be tapped."`
	Phone  gateway.PhoneID  `arg:"" help:"The phone to take over."`
}

func (c takeoverCommand) Run(ctx context.Context, t terminal) error {
	if err := c.client().TakeOver(ctx, c.Reader, c.Phone); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "Tap at %s within 15 seconds: that badge takes over %s.\n", c.Reader, c.Phone)
	return nil
}

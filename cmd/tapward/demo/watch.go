package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/gateway/station"
)

var errSeen = errors.New("seen")

// await returns the first picture of the ward that is as asked for, from now on. A box that is away is waited for.
func await(ctx context.Context, box *station.Client, asked func(*gateway.Ward) bool) (*gateway.Ward, error) {
	for {
		var seen *gateway.Ward
		err := box.Watch(ctx, func(w *gateway.Ward) error {
			if !asked(w) {
				return nil
			}
			seen = w
			return errSeen
		})
		if seen != nil {
			return seen, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func phoneOf(w *gateway.Ward, id gateway.PhoneID) gateway.WardPhone {
	for _, p := range w.Phones {
		if p.ID == id {
			return p
		}
	}
	return gateway.WardPhone{}
}

func everyPhoneLinked(w *gateway.Ward) bool {
	for _, p := range phones {
		if !phoneOf(w, gateway.PhoneID(p.id)).Linked {
			return false
		}
	}
	return true
}

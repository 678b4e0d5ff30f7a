package pcsc

import (
	"context"
	"time"
)

// nudge calls act a delay after the end of ctx, and repeats it until stop is called: a request to return is forgotten
// by PC/SC when it arrives just before the call that it was meant for. Stop returns when act no longer runs.
func nudge(ctx context.Context, delay time.Duration, act func()) (stop func()) {
	returned, quiet := make(chan struct{}), make(chan struct{})
	forget := context.AfterFunc(ctx, func() {
		defer close(quiet)
		next := time.NewTimer(delay)
		defer next.Stop()
		for {
			select {
			case <-returned:
				return
			case <-next.C:
				act()
				next.Reset(10 * time.Millisecond)
			}
		}
	})
	return func() {
		close(returned)
		if !forget() {
			<-quiet
		}
	}
}

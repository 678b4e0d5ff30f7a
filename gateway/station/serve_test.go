package station

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
)

// serve runs a station until the test ends, and fails the test where it does not stop cleanly.
func serve(t *testing.T, s *Station, page net.Listener, certificate tls.Certificate, api net.Listener) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, page, certificate, api) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the station stopped with: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

package demo

import (
	"net"
	"path/filepath"
	"testing"
)

// TestPlugAmongClients plugs the PC/SC readers in while clients come back at once: pcscd lets hardly any of them wait, and
// turns the others away with "resource temporarily unavailable".
func TestPlugAmongClients(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ward")
	w := openWard(t, dir)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if c, err := net.Dial("unix", filepath.Join(dir, "pcscd", "pcscd.comm")); err == nil {
				c.Close()
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 5 {
		for _, verb := range []string{"pull", "plug"} {
			if said, code := w.do("sim", verb, "door"); code != 0 {
				t.Fatalf("sim %s door: exit status %d and %q", verb, code, said)
			}
		}
	}
}

package kernel_test

import (
	"net"
	"os/user"
	"path/filepath"
	"testing"

	"tapward/gateway/kernel"
)

func TestPeerIsWhoConnected(t *testing.T) {
	for network, address := range map[string]string{"unix": filepath.Join(t.TempDir(), "s"), "tcp": "127.0.0.1:0"} {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		there, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer there.Close()
		here, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer here.Close()
		me, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		name, ok := kernel.Peer(here)
		if network == "unix" && (!ok || name != me.Username) || network == "tcp" && ok {
			t.Errorf("%s: %q, %v", network, name, ok)
		}
	}
}

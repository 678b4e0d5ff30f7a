package systemd

import (
	"fmt"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
)

// Listeners are the stream sockets that systemd opened for this process, by FileDescriptorName; empty where it opened
// none. They are handed out once: a second call gets none. A socket that cannot be listened on is an error, and then
// all are closed.
func Listeners() (map[string][]net.Listener, error) {
	listeners := make(map[string][]net.Listener)
	var failed error
	for _, file := range activation.Files(true) {
		listener, err := net.FileListener(file) // on a duplicate
		file.Close()
		if err != nil {
			failed = fmt.Errorf("listen on systemd's socket %q: %w (is it a stream socket?)", file.Name(), err)
			continue
		}
		listeners[file.Name()] = append(listeners[file.Name()], listener)
	}
	if failed == nil {
		return listeners, nil
	}
	for _, named := range listeners {
		for _, listener := range named {
			listener.Close()
		}
	}
	return nil, failed
}

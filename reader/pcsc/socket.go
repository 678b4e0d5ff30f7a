package pcsc

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// libpcsclite gives no way out of a call that waits for a card which does not answer. But each of its contexts has one
// Unix socket to the daemon, and when that is shut down the call fails at once as if the daemon had gone. The socket is
// found by comparing the process's open files before and after a context is made; one that cannot be told for certain
// is left alone, and the call then ends when the card or its driver gives up.

// daemonSocket ends the path that the daemon has given its socket; clients may know it by another path.
const daemonSocket = "/pcscd.comm"

// daemonSockets are the descriptors of this process that are connected to the daemon.
func daemonSockets() map[int]bool {
	found := make(map[int]bool)
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return found
	}
	for _, entry := range open {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		peer, err := unix.Getpeername(fd)
		if err != nil {
			continue
		}
		if address, ok := peer.(*unix.SockaddrUnix); ok && strings.HasSuffix(address.Name, daemonSocket) {
			found[fd] = true
		}
	}
	return found
}

func newSince(before map[int]bool) map[int]bool {
	fresh := daemonSockets()
	for fd := range before {
		delete(fresh, fd)
	}
	return fresh
}

// only is the one descriptor in fds, or -1.
func only(fds map[int]bool) int {
	if len(fds) == 1 {
		for fd := range fds {
			return fd
		}
	}
	return -1
}

// cut ends both directions of a socket, and with that the call waiting on it.
func cut(fd int) { unix.Shutdown(fd, unix.SHUT_RDWR) }

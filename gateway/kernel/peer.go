package kernel

import (
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// Peer is the user at the other end of a unix socket, by name where the machine knows one. Who may connect is the
// socket's file mode. It is false of any other connection, and where the kernel does not say.
func Peer(c net.Conn) (name string, ok bool) {
	socket, ok := c.(*net.UnixConn)
	if !ok {
		return "", false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return "", false
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || failed != nil {
		return "", false
	}
	return userName(peer.Uid), true
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

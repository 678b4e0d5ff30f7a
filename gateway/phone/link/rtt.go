package link

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rtt is the round-trip time as the kernel's TCP has measured it on this connection; zero where it is not TCP.
func (c *Conn) rtt() time.Duration {
	raw, ok := c.tls.NetConn().(syscall.Conn)
	if !ok {
		return 0
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return 0
	}
	var rtt time.Duration
	err = control.Control(func(fd uintptr) {
		if state, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt = time.Duration(state.Rtt) * time.Microsecond
		}
	})
	if err != nil {
		return 0
	}
	return rtt
}

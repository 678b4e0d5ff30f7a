package station

import (
	"context"
	"net"

	"tapward/gateway/kernel"
)

// right is what a route asks for and a caller has; a caller may have several.
type right uint8

const (
	view     right = 1 << iota // look at the ward
	takeOver                   // arm a take-over, as somebody who stands at the station
	operate                    // change the box
)

// caller is who sends a request, as the connection itself shows it.
type caller struct {
	operator string // for the audit log
	may      right
	network  bool // came over TCP, so perhaps from a browser that a strange web site drives
}

// fromNetwork is anybody who reaches the page. Only the station itself, on loopback, may take over.
func fromNetwork(c net.Conn) caller {
	who := caller{operator: "station", may: view, network: true}
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		who.may |= takeOver
	}
	return who
}

// fromSocket asks the operating system who is at the other end of the unix socket. Who may connect is the socket's file
// mode; whoever does may do everything, under their name. Somebody who cannot be named may do nothing.
func fromSocket(c net.Conn) caller {
	name, ok := kernel.Peer(c)
	if !ok {
		return caller{}
	}
	return caller{operator: name, may: view | takeOver | operate}
}

type callerKey struct{}

func withCaller(ctx context.Context, who caller) context.Context {
	return context.WithValue(ctx, callerKey{}, who)
}

// callerOf is the zero caller, who may do nothing, where the connection was not asked.
func callerOf(ctx context.Context) caller {
	who, _ := ctx.Value(callerKey{}).(caller)
	return who
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
)

// startReady starts a program and returns when it has said READY=1, as systemd waits for a Type=notify service
// (sd_notify(3)). The socket for that is at path, and heard for as long as the program runs.
func (p program) startReady(ctx context.Context, path string) (*process, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	notices, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	p.env = append(slices.Clone(p.env), "NOTIFY_SOCKET="+path)
	run, err := p.start()
	if err != nil {
		notices.Close()
		return nil, err
	}
	ready := make(chan struct{})
	go hear(notices, ready)
	go func() { <-run.gone; notices.Close() }()
	select {
	case <-ready:
		return run, nil
	case <-run.gone:
		return nil, fmt.Errorf("start %s: it ended at once; its log is in %s", p.name, p.logs)
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), run.stop())
	}
}

// hear reads notices until the socket is closed, and closes ready at the first that says so.
func hear(notices *net.UnixConn, ready chan<- struct{}) {
	told := false
	for buf := make([]byte, 4096); ; {
		n, err := notices.Read(buf)
		if err != nil {
			return
		}
		if !told && slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
			told = true
			close(ready)
		}
	}
}

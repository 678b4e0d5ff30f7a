package broker

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// start gives a server that takes connections.
func (e *Embedded) start(keys Keys, log *slog.Logger) (*server.Server, error) {
	text, err := keys.ServerConfig()
	if err != nil {
		return nil, err
	}
	o := &server.Options{}
	if err := o.ProcessConfigString(text); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(cmp.Or(e.Listen, "127.0.0.1:4222"))
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", e.Listen, err)
	}
	if o.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("listen address %q: %w", e.Listen, err)
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	o.Host, o.ServerName, o.NoSigs = host, "tapward-hub", true
	o.JetStream, o.StoreDir, o.SyncAlways, o.JetStreamMaxStore = true, e.Dir, true, e.MaxStore
	o.TLSConfig, o.TLSTimeout = e.tls(), 5

	s, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	l := logger{log, make(chan string, 1)}
	s.SetLoggerV2(l, false, false, false)
	s.Start()
	for range 300 {
		if s.ReadyForConnections(100 * time.Millisecond) {
			return s, nil
		}
		select {
		case why := <-l.fatal:
			s.Shutdown()
			s.WaitForShutdown()
			return nil, errors.New(why)
		default:
		}
	}
	s.Shutdown()
	s.WaitForShutdown()
	return nil, fmt.Errorf("it is not ready on %s after half a minute", net.JoinHostPort(host, port))
}

// tls makes sure that every client shows a certificate of the boxes' CA, each time anew.
func (e *Embedded) tls() *tls.Config {
	c := e.TLS.Clone()
	c.ClientAuth, c.MinVersion, c.SessionTicketsDisabled = tls.RequireAndVerifyClientCert, tls.VersionTLS13, true
	return c
}

// logger passes on what a server says, less what it says of single connections: a refused box asks every few seconds,
// and the hub tells of it once.
type logger struct {
	log   *slog.Logger
	fatal chan string // the first reason not to run
}

func (l logger) line(level slog.Level, format string, args []any) {
	text := fmt.Sprintf(format, args...)
	if strings.Contains(text, " - cid:") || strings.HasPrefix(text, "Auth callout") {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, "broker: "+text)
}

func (l logger) Noticef(f string, a ...any) { l.line(slog.LevelDebug, f, a) }
func (l logger) Warnf(f string, a ...any)   { l.line(slog.LevelWarn, f, a) }
func (l logger) Errorf(f string, a ...any)  { l.line(slog.LevelError, f, a) }
func (l logger) Debugf(string, ...any)      {}
func (l logger) Tracef(string, ...any)      {}

func (l logger) Fatalf(f string, a ...any) {
	l.line(slog.LevelError, f, a)
	select {
	case l.fatal <- fmt.Sprintf(f, a...):
	default:
	}
}

package atna

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"tapward/sync/hub/export"
)

// Syslog sends to a receiver of RFC 5425. It belongs to one feed.
type Syslog struct {
	Address string      // host:port; 6514 is the usual port
	TLS     *tls.Config // with the certificates that the receiver wants and the CA that it has
	Host    string      // of the hub, as syslog shows it
	// MessageID is IHE+RFC-3881 where nothing is said, as IHE's test assertions demand; DICOM allows DICOM+RFC3881.
	MessageID string
	NoBOM     bool // RFC 5424 wants a byte order mark before UTF-8; not every repository does

	conn *tls.Conn
}

const (
	// ihe is the MSGID of IHE.
	ihe = "IHE+RFC-3881"
	// priority is facility 10 (security) and severity 5 (notice).
	priority = 85
	// patience bounds connecting, and sending a batch.
	patience = 30 * time.Second
	// doubt is how long a new connection is listened to: with TLS 1.3 a receiver that does not want it says so only after
	// the handshake.
	doubt = 250 * time.Millisecond
)

// Confirms is false: nobody answers.
func (*Syslog) Confirms() bool { return false }

// Close lets go of the connection. Deliver dials again.
func (s *Syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn = nil
	return conn.Close()
}

// Deliver sends. The answers say only that the connection took the messages and was still there afterwards.
func (s *Syslog) Deliver(ctx context.Context, records []export.Record) ([]export.Answer, error) {
	if err := s.send(ctx, records); err != nil {
		s.Close()
		return nil, fmt.Errorf("syslog to %s: %w", s.Address, err)
	}
	return make([]export.Answer, len(records)), nil
}

func (s *Syslog) send(ctx context.Context, records []export.Record) error {
	if s.conn != nil && s.listen(time.Millisecond) != nil {
		s.Close()
	}
	if s.conn == nil {
		if err := s.dial(ctx); err != nil {
			return err
		}
	}
	var frames []byte
	for _, r := range records {
		message, err := s.Frame(r)
		if err != nil {
			return err
		}
		frames = append(frames, message...)
	}
	stop := context.AfterFunc(ctx, func() { s.conn.NetConn().SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := s.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := s.conn.Write(frames); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return s.listen(time.Millisecond)
}

func (s *Syslog) dial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&tls.Dialer{Config: s.TLS}).DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return err
	}
	s.conn = conn.(*tls.Conn)
	return s.listen(doubt)
}

// listen gives a receiver that says nothing some time to close the connection.
func (s *Syslog) listen(d time.Duration) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	_, err := s.conn.Read(make([]byte, 1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case err == nil:
		return errors.New("the receiver speaks, which syslog does not")
	}
	var closed net.Error
	if errors.As(err, &closed) && closed.Timeout() {
		return nil
	}
	return fmt.Errorf("the receiver closed the connection: %w", err)
}

// Frame is a record as RFC 5425 sends it: the length, a blank and the message.
func (s *Syslog) Frame(r export.Record) ([]byte, error) {
	body, err := xml.Marshal(Project(r))
	if err != nil {
		return nil, err
	}
	id, host, bom := s.MessageID, s.Host, "\ufeff"
	if id == "" {
		id = ihe
	}
	if host == "" {
		host = "-"
	}
	if s.NoBOM {
		bom = ""
	}
	message := fmt.Sprintf("<%d>1 %s %s tapward-hub %d %s - %s%s", priority,
		r.Leaf.Entry.At.UTC().Format("2006-01-02T15:04:05.000000Z"), host, os.Getpid(), id, bom, body)
	return append(strconv.AppendInt(nil, int64(len(message)), 10), " "+message...), nil
}

package upstream

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"tapward/sync/uplink"
)

// Message is one message of a stream.
type Message struct {
	Subject  string
	Header   map[string]string
	Payload  []byte
	Sequence uint64    // in the stream; 0: it was heard as it was published
	At       time.Time // stored, by the broker's clock; zero: it was heard as it was published
}

// Last asks a stream for the newest message of a subject; ErrNone: there is none.
func (c *Client) Last(ctx context.Context, stream, subject string) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	ask := nats.NewMsg(uplink.LastSubject(stream, subject))
	ctx, drop := c.denied.await(ctx, ask.Subject)
	defer drop()
	m, err := c.request(ctx, ask)
	if err != nil {
		return Message{}, fmt.Errorf("newest of %s: %w", subject, err)
	}
	switch status := m.Header.Get("Status"); status {
	case "":
	case "404":
		return Message{}, fmt.Errorf("newest of %s: %w", subject, ErrNone)
	default:
		return Message{}, fmt.Errorf("newest of %s: the broker says %s %s", subject, status, m.Header.Get("Description"))
	}
	out := Message{Subject: m.Header.Get(nats.JSSubject), Header: plain(m.Header), Payload: m.Data}
	if out.Sequence, err = strconv.ParseUint(m.Header.Get(nats.JSSequence), 10, 64); err != nil || out.Subject != subject {
		return Message{}, fmt.Errorf("newest of %s: the broker answered about something else", subject)
	}
	if out.At, err = time.Parse(time.RFC3339Nano, m.Header.Get(nats.JSTimeStamp)); err != nil {
		return Message{}, fmt.Errorf("newest of %s: the broker's time cannot be read", subject)
	}
	return out, nil
}

func plain(h nats.Header) map[string]string {
	out := make(map[string]string, len(h))
	for k := range h {
		out[k] = h.Get(k)
	}
	return out
}

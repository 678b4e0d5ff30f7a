package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// What may come of sending, besides success.
var (
	ErrCutOff     = errors.New("cut off from the hub")                                  // nothing was sent
	ErrUnanswered = errors.New("the broker did not answer: it may be stored or not")    // ask Last
	ErrFull       = errors.New("the broker takes no more: this box's share is used up") // not stored
	ErrNotAllowed = errors.New("the hub does not allow this box to send that for now")  // not stored
	ErrTooLarge   = errors.New("it is larger than the broker takes")                    // not stored
	ErrNone       = errors.New("there is no such message")                              // of Last
)

// SequenceError says that the newest message on the subject is not the one that was expected: nothing was stored.
type SequenceError struct{ Expected, Last uint64 }

func (e *SequenceError) Error() string {
	return fmt.Sprintf("the newest message has sequence %d, not %d", e.Last, e.Expected)
}

// JetStream's error codes, nats-server/server/errors.json.
const (
	codeWrongSequence  = 10071
	codeTooLarge       = 10054
	codeStoreFailed    = 10077
	codeWouldExceed    = 10023 // insufficient resources
	codeAccountExceeds = 10002
)

// Publish stores a message if after is the sequence of the newest one on the subject (0: there is none), and gives its
// sequence. It is durable then. One at a time for each subject: the next one's after is not known before.
func (c *Client) Publish(ctx context.Context, subject string, header map[string]string, payload []byte, after uint64) (uint64, error) {
	m := nats.NewMsg(subject)
	for k, v := range header {
		m.Header.Set(k, v)
	}
	m.Header.Set(nats.ExpectedLastSubjSeqHdr, strconv.FormatUint(after, 10))
	m.Data = payload
	sequence, err := c.send(ctx, m, after)
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	return sequence, nil
}

// Put replaces the value of a key that this box may write. It may be called again.
func (c *Client) Put(ctx context.Context, bucket, key string, value []byte) error {
	m := nats.NewMsg(uplink.BucketSubject(bucket, key))
	m.Data = value
	if _, err := c.send(ctx, m, 0); err != nil {
		return fmt.Errorf("put %s: %w", bucket, err)
	}
	return nil
}

// requestTime bounds one question where the caller's context does not.
const requestTime = 5 * time.Second

// maxMessage is what the broker takes from a box; it ends a connection that sends more.
const maxMessage = audit.MaxBundleBytes + 24<<10

func (c *Client) send(ctx context.Context, m *nats.Msg, expected uint64) (uint64, error) {
	if m.Size() > maxMessage {
		return 0, ErrTooLarge
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	ctx, drop := c.denied.await(ctx, m.Subject)
	defer drop()
	answer, err := c.request(ctx, m)
	if err != nil {
		return 0, err
	}
	var ack struct {
		Sequence uint64 `json:"seq"`
		Error    *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, fmt.Errorf("%w: its answer cannot be read", ErrUnanswered)
	}
	if ack.Error == nil {
		return ack.Sequence, nil
	}
	switch ack.Error.Code {
	case codeWrongSequence:
		return 0, &SequenceError{Expected: expected, Last: lastNumber(ack.Error.Description)}
	case codeTooLarge:
		return 0, ErrTooLarge
	case codeStoreFailed, codeWouldExceed, codeAccountExceeds:
		return 0, fmt.Errorf("%w (%s)", ErrFull, ack.Error.Description)
	}
	return 0, fmt.Errorf("the broker refused it: %s", ack.Error.Description)
}

// request waits for one answer.
func (c *Client) request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	nc, err := c.connection(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := nc.RequestMsgWithContext(ctx, m)
	switch {
	case err == nil:
		return answer, nil
	case errors.Is(context.Cause(ctx), ErrNotAllowed):
		return nil, ErrNotAllowed
	case errors.Is(err, nats.ErrMaxPayload):
		return nil, ErrTooLarge
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrConnectionReconnecting), errors.Is(err, nats.ErrDisconnected):
		return nil, fmt.Errorf("%w: %v", ErrCutOff, err)
	}
	return nil, fmt.Errorf("%w: %v", ErrUnanswered, err)
}

var trailing = regexp.MustCompile(`(\d+)$`)

// lastNumber reads "wrong last sequence: 7".
func lastNumber(text string) uint64 {
	n, _ := strconv.ParseUint(trailing.FindString(text), 10, 64)
	return n
}

// denials hand a refused subject, which the broker reports by the way, to the publish that waits for its answer.
type denials struct {
	mu      sync.Mutex
	waiting map[string]map[int]context.CancelCauseFunc
	next    int
}

func (d *denials) await(ctx context.Context, subject string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	id := d.next
	d.next++
	if d.waiting == nil {
		d.waiting = map[string]map[int]context.CancelCauseFunc{}
	}
	if d.waiting[subject] == nil {
		d.waiting[subject] = map[int]context.CancelCauseFunc{}
	}
	d.waiting[subject][id] = cancel
	return ctx, func() {
		d.mu.Lock()
		delete(d.waiting[subject], id)
		if len(d.waiting[subject]) == 0 {
			delete(d.waiting, subject)
		}
		d.mu.Unlock()
		cancel(nil)
	}
}

var publishTo = regexp.MustCompile(`(?i)for publish to "([^"]+)"`)

// take says whether somebody waited for this.
func (d *denials) take(text string) bool {
	m := publishTo.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, cancel := range d.waiting[m[1]] {
		cancel(ErrNotAllowed)
	}
	return len(d.waiting[m[1]]) > 0
}

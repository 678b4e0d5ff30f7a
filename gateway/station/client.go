package station

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"tapward/gateway"
)

// Client speaks the local API. It is safe for use from several goroutines.
type Client struct {
	socket string
	http   http.Client
}

// NewClient makes a client of the box whose unix socket is given; nothing is connected yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Client{socket, http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Ward is the newest picture of the ward.
func (c *Client) Ward(ctx context.Context) (*gateway.Ward, error) {
	body, err := c.call(ctx, http.MethodGet, "/v1/ward", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var w gateway.Ward
	if err := json.NewDecoder(body).Decode(&w); err != nil {
		return nil, fmt.Errorf("read the ward: %w", err)
	}
	return &w, nil
}

// Watch calls show with the ward as it is and then with every newer picture, until ctx ends, show fails, or the box
// goes away.
func (c *Client) Watch(ctx context.Context, show func(*gateway.Ward) error) error {
	body, err := c.call(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxPicture)
	name := ""
	for lines.Scan() {
		if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = event
		}
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || name != "ward" {
			continue
		}
		var w gateway.Ward
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			return fmt.Errorf("read the ward: %w", err)
		}
		if err := show(&w); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("watch the ward: %w", err)
	}
	return errors.New("watch the ward: the box closed the connection")
}

// maxPicture bounds one picture, in bytes.
const maxPicture = 8 << 20

// AddPhone pairs a phone whose fingerprint was compared on both screens.
func (c *Client) AddPhone(ctx context.Context, p gateway.Phone) error {
	return c.post(ctx, "/v1/phones", p)
}

// RemovePhone forgets a phone that is free or quarantined.
func (c *Client) RemovePhone(ctx context.Context, id gateway.PhoneID) error {
	return c.do(ctx, http.MethodDelete, "/v1/phones/"+url.PathEscape(string(id)), nil)
}

// ReleasePhone ends whatever session the phone has.
func (c *Client) ReleasePhone(ctx context.Context, id gateway.PhoneID) error {
	return c.do(ctx, http.MethodPost, "/v1/phones/"+url.PathEscape(string(id))+"/release", nil)
}

// TakeOver arms the reader for one tap that takes the phone over; an empty phone disarms.
func (c *Client) TakeOver(ctx context.Context, reader gateway.ReaderID, phone gateway.PhoneID) error {
	return c.post(ctx, "/v1/takeover", takeOverRequest{reader, phone})
}

// LoadPolicy replaces policy and roster by a document; its error says everything that is wrong with it.
func (c *Client) LoadPolicy(ctx context.Context, document []byte) error {
	return c.do(ctx, http.MethodPost, "/v1/policy", document)
}

func (c *Client) post(ctx context.Context, path string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	return c.do(ctx, http.MethodPost, path, body)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) error {
	answer, err := c.call(ctx, method, path, body)
	if err != nil {
		return err
	}
	return answer.Close()
}

// call sends one request; the body of a good answer is the caller's to close. A refusal is an error in the box's words.
func (c *Client) call(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://tapward"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if answer.StatusCode < 300 {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	var p problem
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&p); err != nil || p.Error == "" {
		return nil, fmt.Errorf("the box answered %s", answer.Status)
	}
	return nil, errors.New(p.Error)
}

// unreachable words a failed connection; the URL in the HTTP client's own error means nothing to people.
func (c *Client) unreachable(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if opened := (*net.OpError)(nil); errors.As(err, &opened) && opened.Op == "dial" {
		return fmt.Errorf("reach the box at %s: %w (is tapwardd running, and may you use its socket?)", c.socket, opened.Err)
	}
	return fmt.Errorf("reach the box at %s: %w", c.socket, err)
}

package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Endpoint is a receiver that is reached over HTTP.
type Endpoint struct {
	Base   string       // "https://…", without a slash at its end; see CheckBase
	Client *http.Client // with a timeout, and the certificates that the receiver wants
	// Authorization gives the header of the same name, each time anew, so that a token may be exchanged; nil: none.
	Authorization func() (string, error)
}

// Reply is what an endpoint answered that it will answer again: it took what it was sent, or refused it.
type Reply struct {
	Status int
	Body   []byte
}

// Taken says that the endpoint has what it was sent.
func (r Reply) Taken() bool { return r.Status/100 == 2 }

// mostReply bounds the answer of an endpoint.
const mostReply = 8 << 20

// Check says why the endpoint is set up wrong.
func (e *Endpoint) Check() error { return CheckBase(e.Base) }

// Send sends a body, to Base and nowhere else: a redirect is not followed. An error is a failure that may pass: no answer,
// or one about the endpoint rather than about the body.
func (e *Endpoint) Send(ctx context.Context, method, path, contentType string, body []byte) (Reply, error) {
	if err := e.Check(); err != nil {
		return Reply{}, err
	}
	request, err := http.NewRequestWithContext(ctx, method, e.Base+path, bytes.NewReader(body))
	if err != nil {
		return Reply{}, fmt.Errorf("ask %s: %w", shown(e.Base), withoutURL(err))
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", contentType)
	if e.Authorization != nil {
		value, err := e.Authorization()
		if err != nil {
			return Reply{}, fmt.Errorf("authorization for %s: %w", shown(e.Base), err)
		}
		request.Header.Set("Authorization", value)
	}
	response, err := e.unled().Do(request)
	if err != nil {
		return Reply{}, fmt.Errorf("ask %s: %w", shown(e.Base), withoutURL(err))
	}
	defer response.Body.Close()
	reply := Reply{Status: response.StatusCode}
	if reply.Body, err = io.ReadAll(io.LimitReader(response.Body, mostReply)); err != nil {
		return Reply{}, fmt.Errorf("read the answer of %s: %w", shown(e.Base), err)
	}
	if reply.Taken() || AboutRecord(reply.Status) {
		return reply, nil
	}
	err = fmt.Errorf("%s: %s %s", shown(e.Base), response.Status, words(reply.Body))
	if reply.Status/100 == 3 {
		err = fmt.Errorf("%s: %s: it points to %s, which gets nothing: set up the url of the receiver itself, and what it wants of who asks",
			shown(e.Base), response.Status, pointed(response))
	}
	if after := retryAfter(response.Header.Get("Retry-After"), time.Now()); after > 0 {
		err = &Busy{after, err}
	}
	return Reply{}, err
}

// unled is the client, not to be led elsewhere: a redirect turns what is sent into a question for a page, and a login page
// that is given is no receipt.
func (e *Endpoint) unled() *http.Client {
	client := *e.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// withoutURL is what went wrong, without the URL that net/http puts before it.
func withoutURL(err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// pointed is where a redirect leads.
func pointed(response *http.Response) string {
	to, err := response.Location()
	if err != nil {
		return "nowhere"
	}
	return shown(to.String())
}

// AboutRecord says that a status refuses what was sent, for what it is: asking again would not help. Others are about who
// asks, where, and when.
func AboutRecord(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed,
		http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// Words are what a reply says, for a dead letter.
func (r Reply) Words() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s: %s", r.Status, http.StatusText(r.Status), words(r.Body)))
}

func words(body []byte) string {
	return said(string(bytes.ToValidUTF8(body[:min(len(body), 8<<10)], []byte("?"))))
}

// retryAfter reads RFC 9110, 10.2.3.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), 86400)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// OneByOne delivers records alone, with what sends one and says how it was answered.
func OneByOne(ctx context.Context, records []Record, send func(context.Context, Record) (Answer, error)) (answers []Answer, err error) {
	for _, r := range records {
		a, err := send(ctx, r)
		if err != nil {
			return answers, err
		}
		answers = append(answers, a)
	}
	return answers, nil
}

// Refused is the answer of a receiver that refused, never empty.
func Refused(words string) Answer {
	if words = said(words); words == "" {
		words = noWords
	}
	return Answer{Refused: words}
}

const noWords = "refused without a word"

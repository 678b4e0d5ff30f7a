package export

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Endpoint is a receiver that is reached over HTTP.
type Endpoint struct {
	Base   string       // "https://…", without a slash at its end
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

// Send sends a body. An error is a failure that may pass: no answer, or one about the endpoint rather than about the body.
func (e *Endpoint) Send(ctx context.Context, method, path, contentType string, body []byte) (Reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, e.Base+path, bytes.NewReader(body))
	if err != nil {
		return Reply{}, err
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", contentType)
	if e.Authorization != nil {
		value, err := e.Authorization()
		if err != nil {
			return Reply{}, fmt.Errorf("authorization for %s: %w", e.Base, err)
		}
		request.Header.Set("Authorization", value)
	}
	response, err := e.Client.Do(request)
	if err != nil {
		return Reply{}, err
	}
	defer response.Body.Close()
	reply := Reply{Status: response.StatusCode}
	if reply.Body, err = io.ReadAll(io.LimitReader(response.Body, mostReply)); err != nil {
		return Reply{}, fmt.Errorf("read the answer of %s: %w", e.Base, err)
	}
	if reply.Taken() || AboutRecord(reply.Status) {
		return reply, nil
	}
	err = fmt.Errorf("%s: %s %s", e.Base, response.Status, words(reply.Body))
	if after := retryAfter(response.Header.Get("Retry-After"), time.Now()); after > 0 {
		err = &Busy{after, err}
	}
	return Reply{}, err
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

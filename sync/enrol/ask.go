package enrol

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tapward/sync/claim"
)

const patience = 30 * time.Second

// hub is where to ask.
type hub struct {
	url    string // https://host:port
	client *http.Client
}

func newHub(address string, config func(host string) *tls.Config) (hub, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return hub{}, fmt.Errorf("the hub's address %q is not of the form https://host:port", address)
	}
	transport := &http.Transport{
		TLSClientConfig: config(u.Hostname()), TLSHandshakeTimeout: patience, MaxResponseHeaderBytes: 16 << 10, IdleConnTimeout: patience,
	}
	client := &http.Client{Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return hub{strings.TrimSuffix(u.String(), "/"), client}, nil
}

func (h hub) close() { h.client.CloseIdleConnections() }

// ask sends one message and gives the answer's bytes. What the hub refuses is a *claim.Refusal.
func (h hub) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, method, h.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	answer, err := h.client.Do(q)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, claim.MaxMessage+1))
	if err != nil {
		return nil, fmt.Errorf("ask the hub: %w", err)
	}
	if answer.StatusCode == http.StatusOK {
		return text, nil
	}
	if refusal, err := claim.ParseRefusal(text); err == nil {
		return nil, refusal
	}
	return nil, fmt.Errorf("ask the hub: it answered %d", answer.StatusCode)
}

// tell is ask with a message each way.
func tell[Out claim.Offer | claim.Answer | claim.Issued](ctx context.Context, h hub, method, path string, body []byte) (out Out, err error) {
	text, err := h.ask(ctx, method, path, body)
	if err != nil {
		return out, err
	}
	return claim.Parse[Out](text)
}

func claimPath(path, id string) string { return strings.Replace(path, "{id}", id, 1) }

// refused says that asking again would not help.
func refused(err error) bool {
	refusal := (*claim.Refusal)(nil)
	return errors.As(err, &refusal) && refusal.Reason != claim.TooMany
}

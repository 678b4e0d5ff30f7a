package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// Hub is the running hub that a command speaks to, by its configuration.
type Hub struct {
	Config string `help:"The hub's configuration." type:"path" default:"${config}"`
	Socket string `help:"The hub's local socket; default: as configured." type:"path" env:"TAPWARD_HUB_SOCKET"`
}

func (h Hub) get(ctx context.Context, path string, into any) error {
	return h.call(ctx, http.MethodGet, path, nil, into)
}

func encode(body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return text, nil
}

func (h Hub) post(ctx context.Context, path string, body any) error {
	text, err := encode(body)
	if err != nil {
		return err
	}
	return h.call(ctx, http.MethodPost, path, text, nil)
}

// call sends one request and reads its answer.
func (h Hub) call(ctx context.Context, method, path string, body []byte, into any) error {
	answer, err := h.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(answer).Decode(into); err != nil {
		return fmt.Errorf("read the hub's answer: %w", err)
	}
	return nil
}

// open sends one request; the answer is the caller's to close. A refusal is an error in the hub's words.
func (h Hub) open(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	socket := h.Socket
	if socket == "" {
		c, err := readConfig(h.Config)
		if err != nil {
			return nil, err
		}
		socket = c.Socket
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, method, "http://hub"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	answer, err := client.Do(request)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return nil, fmt.Errorf("reach the hub at %s: %w (does it run, and may you use its socket?)", socket, wrapped.Err)
	}
	if err != nil {
		return nil, err
	}
	if answer.StatusCode < 300 {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	var p problem
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&p); err != nil || p.Error == "" {
		return nil, fmt.Errorf("the hub answered %s", answer.Status)
	}
	return nil, errors.New(p.Error)
}

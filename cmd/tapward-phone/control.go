package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
)

// Standing is how a running phone stands, as `ctl show` prints it.
type Standing struct {
	agent.View
	Left        string              `json:"left,omitempty"`
	Fingerprint gateway.Fingerprint `json:"fingerprint"`
	Listen      string              `json:"listen,omitempty"`
	Page        string              `json:"page,omitempty"`
}

// control is the local control of a running phone: HTTP over a socket that only its owner may open.
type control struct {
	agent     *agent.Agent
	workspace agent.Workspace
	standing  Standing // what never changes
	reload    func(context.Context) error
}

func (c control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /show", func(w http.ResponseWriter, r *http.Request) {
		s := c.standing
		s.View, _ = c.agent.View()
		if left := c.agent.Left(s.View); left > 0 {
			s.Left = left.Round(time.Second).String()
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s)
	})
	do := func(path string, f func(*http.Request) error) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
			if err := f(r); err != nil {
				http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			}
		})
	}
	do("/gesture", func(r *http.Request) error {
		var g agent.Gesture
		if err := json.NewDecoder(r.Body).Decode(&g); err != nil {
			return fmt.Errorf("read gesture: %w", err)
		}
		return c.agent.Gesture(r.Context(), g)
	})
	do("/plant", func(*http.Request) error { return c.workspace.Plant() })
	do("/unplant", func(*http.Request) error { return c.workspace.Unplant() })
	do("/reload", func(r *http.Request) error { return c.reload(r.Context()) })
	return mux
}

// listenControl opens the socket, in place of one that a killed phone left behind.
func listenControl(path string) (net.Listener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("open control socket: another phone answers at %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("guard control socket: %w", err), listener.Close())
	}
	return listener, nil
}

// controlClient speaks to a running phone.
type controlClient struct{ http.Client }

var errNotRunning = errors.New("the phone does not run here (start it with: tapward-phone run)")

func dialControl(path string) *controlClient {
	return &controlClient{http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}}
}

func (c *controlClient) post(ctx context.Context, path string, content any) error {
	body, err := json.Marshal(content)
	if err != nil {
		return err
	}
	_, err = c.ask(ctx, http.MethodPost, path, body)
	return err
}

func (c *controlClient) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://phone"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := c.Do(r)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return nil, errNotRunning
	case err != nil:
		return nil, fmt.Errorf("ask the phone: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return text, err
}

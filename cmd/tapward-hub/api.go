package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"tapward/gateway"
	"tapward/gateway/kernel"
	"tapward/gateway/policy"
	"tapward/sync/claim"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/journal"
	"tapward/sync/uplink"
)

// The bodies of requests.
type (
	confirmRequest struct {
		Code claim.Code `json:"code"`
	}
	whyRequest struct {
		Why string `json:"why"`
	}
	revokeRequest struct {
		Target uplink.Target `json:"target"`
		ID     string        `json:"id"`
	}
)

// problem is every refusal, in words.
type problem struct {
	Error string `json:"error"`
}

// maxBody bounds a request; a policy is the largest.
const maxBody = policy.MaxDocument

// answerIn bounds the work for one request.
const answerIn = 30 * time.Second

// person is who asks, as the operating system knows them.
type person struct{}

func (h *hub) routes() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, answer func(*http.Request) (any, error)) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), answerIn)
			defer cancel()
			v, err := answer(r.WithContext(ctx))
			reply(w, v, err)
		})
	}
	post := func(path string, do func(r *http.Request, who string) (any, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			who, _ := r.Context().Value(person{}).(string)
			if who == "" {
				reply(w, nil, errors.New("the system does not say who you are"))
				return
			}
			ctx, cancel := context.WithTimeout(r.Context(), answerIn)
			defer cancel()
			v, err := do(r.WithContext(ctx), who)
			reply(w, v, err)
		})
	}
	get("/v1/status", func(r *http.Request) (any, error) { return h.status(r.Context()) })
	get("/v1/claims", func(r *http.Request) (any, error) { return h.members.Pending(r.Context()) })
	get("/v1/boxes", func(r *http.Request) (any, error) { return h.boxes(r.Context()) })
	get("/v1/alarms", func(r *http.Request) (any, error) {
		return h.archive.Incidents(r.Context(), r.FormValue("all") != "", maxListed)
	})
	get("/v1/log", h.searchLog)
	get("/v1/feeds", h.getFeeds)
	get("/v1/feeds/{name}/dead", func(r *http.Request) (any, error) {
		return h.exporter.Dead(r.Context(), r.PathValue("name"), 0, maxListed)
	})
	post("/v1/feeds/{name}/{act}", h.onFeed)
	mux.HandleFunc("GET /v1/boxes/{id}/history", h.getHistory)
	post("/v1/claims/{id}/confirm", func(r *http.Request, who string) (any, error) {
		var c confirmRequest
		if err := decode(r, &c); err != nil {
			return nil, err
		}
		return nil, h.members.Confirm(r.Context(), r.PathValue("id"), c.Code, who)
	})
	post("/v1/claims/{id}/decline", func(r *http.Request, who string) (any, error) {
		return nil, h.members.Decline(r.Context(), r.PathValue("id"), who)
	})
	post("/v1/expected", func(r *http.Request, who string) (any, error) {
		list, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, fmt.Errorf("read the list: %w", err)
		}
		return h.members.Expect(r.Context(), list, who)
	})
	post("/v1/policy", func(r *http.Request, who string) (any, error) {
		document, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, fmt.Errorf("read the policy: %w", err)
		}
		return h.releases.ReleasePolicy(r.Context(), document, who)
	})
	post("/v1/revocations", func(r *http.Request, who string) (any, error) {
		var asked revokeRequest
		if err := decode(r, &asked); err != nil {
			return nil, err
		}
		reason := gateway.RevokedBadge
		if asked.Target == uplink.Phone {
			reason = gateway.RevokedPhone
		}
		return h.releases.Revoke(r.Context(), asked.Target, asked.ID, reason, who)
	})
	get("/v1/revocations/{number}", func(r *http.Request) (any, error) {
		number, err := strconv.ParseUint(r.PathValue("number"), 10, 64)
		if err != nil {
			return nil, errors.New("the revocation's number is not a number")
		}
		return h.releases.Reach(r.Context(), number)
	})
	post("/v1/boxes/{id}/revoke", h.onBox(h.members.Revoke))
	post("/v1/boxes/{id}/reinstate", h.onBox(h.members.Reinstate))
	post("/v1/boxes/{id}/vacate", h.onBox(h.members.Vacate))
	post("/v1/forget/{clinician}", h.forget)
	post("/v1/alarms/{id}/lift", h.lift)
	return mux
}

func (h *hub) onBox(do func(context.Context, claim.Subject, string, string) error) func(*http.Request, string) (any, error) {
	return func(r *http.Request, who string) (any, error) {
		why, err := reason(r)
		if err != nil {
			return nil, err
		}
		return nil, do(r.Context(), claim.Subject{Kind: claim.Box, Site: h.config.Site, ID: r.PathValue("id")}, who, why)
	}
}

func (h *hub) lift(r *http.Request, who string) (any, error) {
	why, err := reason(r)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, errors.New("the alarm's number is not a number")
	}
	open, err := h.archive.Incidents(r.Context(), false, maxListed)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(open, func(i archive.Incident) bool { return i.ID == id }) {
		return nil, fmt.Errorf("there is no open alarm %d", id)
	}
	now := time.Now()
	// The record comes first: an act without one must not be.
	err = h.journal.Record(r.Context(), gateway.Record{Kind: AlarmLifted, At: now, Operator: who, Words: why, State: strconv.FormatInt(id, 10)})
	if err == nil {
		err = h.archive.Lift(r.Context(), id, who, why, now)
	}
	if err != nil {
		return nil, err
	}
	if err := h.askAgain(r.Context()); err != nil {
		h.log.Warn("The alarm is closed; the box is asked again within a minute", "err", err)
	}
	return nil, nil
}

// askAgain lets boxes send what was refused while their logs were in quarantine.
func (h *hub) askAgain(ctx context.Context) error {
	origins, err := h.archive.Origins(ctx)
	if err != nil {
		return err
	}
	for _, o := range origins {
		if o.Refused == "" && o.Box != journal.Box {
			if err := h.ingest.Ask(o.Origin); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *hub) searchLog(r *http.Request) (any, error) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 1 || limit > maxListed {
		limit = maxListed
	}
	found, err := h.archive.Search(r.Context(), archive.Query{
		Address: uplink.Address{Site: h.config.Site, Box: gateway.BoxID(r.FormValue("box"))},
		Phone:   gateway.PhoneID(r.FormValue("phone")), Clinician: gateway.ClinicianID(r.FormValue("clinician")), Limit: limit,
	})
	if err != nil {
		return nil, err
	}
	lines := make([]logLine, len(found))
	for i, f := range found {
		lines[i] = newLogLine(f)
	}
	return lines, nil
}

// maxWhy bounds what a person gives as the reason of an act, in bytes.
const maxWhy = 1024

// reason reads why somebody does something.
func reason(r *http.Request) (string, error) {
	var why whyRequest
	if err := decode(r, &why); err != nil {
		return "", err
	}
	if why.Why == "" || len(why.Why) > maxWhy {
		return "", fmt.Errorf("say why, in at most %d bytes: whoever reads the log later must understand it", maxWhy)
	}
	return why.Why, nil
}

func decode(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	return nil
}

func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		v = problem{err.Error()}
	}
	_ = json.NewEncoder(w).Encode(v)
}

// listenLocal opens the local API's socket, in the place of one that a hub left behind which was killed.
func listenLocal(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("listen for commands: another hub answers at %s", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("listen for commands: %s is there and is no socket; move it away", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("guard the local API's socket: %w", err), l.Close())
	}
	return l, nil
}

// serveLocal answers this program's other commands until ctx ends.
func (h *hub) serveLocal(ctx context.Context, l net.Listener) error {
	return serveHTTP(ctx, l, h.routes(), h.log, func(ctx context.Context, c net.Conn) context.Context {
		name, _ := kernel.Peer(c)
		return context.WithValue(ctx, person{}, name)
	})
}

const stopWait = 10 * time.Second

func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler, log *slog.Logger, who func(context.Context, net.Conn) context.Context) error {
	server := &http.Server{
		Handler: handler, ConnContext: who,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer cancel()
	err := errors.Join(server.Shutdown(wait), server.Close())
	<-failed
	return err
}

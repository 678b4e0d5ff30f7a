package enrol

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"tapward/sync/claim"
)

// Bounds of one connection.
const (
	requestTime = 15 * time.Second
	idleTime    = time.Minute
	maxHeader   = 16 << 10
	drainTime   = 5 * time.Second
)

// Serve answers boxes on a listener until ctx ends: HTTPS with the certificate that get gives, whose chain must end in
// the root. Whoever renews shows a certificate; what it is worth is looked at here, not by TLS, which refuses expired
// ones. It closes the listener.
func (r *Registrar) Serve(ctx context.Context, l net.Listener, get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) error {
	server := &http.Server{
		Handler: r.handler(),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, GetCertificate: get, ClientAuth: tls.RequestClientCert, NextProtos: []string{"http/1.1"},
		},
		ReadTimeout: requestTime, WriteTimeout: 2 * requestTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(r.log.Handler(), slog.LevelDebug), // strangers' failed handshakes
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		stopped <- errors.Join(server.Shutdown(drain), server.Close())
	})
	err := server.ServeTLS(l, "", "")
	if stop() {
		return errors.Join(err, server.Close())
	}
	return <-stopped
}

func (r *Registrar) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+claim.CommitPath, r.take(func(q *http.Request, body []byte) (any, error) {
		offer, err := r.open(q.Context(), body)
		return json.RawMessage(offer), err // exactly these bytes: both sides hash them
	}))
	mux.HandleFunc("POST "+claim.RevealPath, r.take(func(q *http.Request, body []byte) (any, error) {
		return r.reveal(q.Context(), q.PathValue("id"), body)
	}))
	mux.HandleFunc("GET "+claim.AnswerPath, r.take(func(q *http.Request, _ []byte) (any, error) {
		return r.answer(q.Context(), q.PathValue("id"))
	}))
	mux.HandleFunc("POST "+claim.RedeemPath, r.take(func(q *http.Request, body []byte) (any, error) {
		return r.redeem(q.Context(), q.PathValue("id"), body)
	}))
	mux.HandleFunc("POST "+claim.RenewPath, r.take(func(q *http.Request, body []byte) (any, error) {
		return r.renew(q.Context(), q.TLS.PeerCertificates, body)
	}))
	return mux
}

// take makes a handler of do: one message in, one out, within the limits.
func (r *Registrar) take(do func(q *http.Request, body []byte) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		if !r.limits.allow(q.RemoteAddr, time.Now()) {
			r.refuse(w, q, claim.Refuse(claim.TooMany, "too many requests: try again later"))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, claim.MaxMessage))
		if err != nil {
			r.refuse(w, q, claim.Refuse(claim.Malformed, "the message cannot be read, or is longer than %d bytes", claim.MaxMessage))
			return
		}
		answer, err := do(q, body)
		if err != nil {
			r.refuse(w, q, err)
			return
		}
		r.write(w, http.StatusOK, answer)
	}
}

// refuse answers with words. What went wrong inside is logged and not told.
func (r *Registrar) refuse(w http.ResponseWriter, q *http.Request, err error) {
	refusal := (*claim.Refusal)(nil)
	if errors.As(err, &refusal) {
		r.write(w, status(refusal), refusal)
		return
	}
	if q.Context().Err() == nil {
		r.log.Error("enrolment failed", "path", q.URL.Path, "error", err)
	}
	w.Header().Set("Retry-After", "10")
	http.Error(w, "the hub cannot do this now: try again", http.StatusServiceUnavailable)
}

func status(refusal *claim.Refusal) int {
	switch refusal.Reason {
	case claim.TooMany:
		return http.StatusTooManyRequests
	case claim.Malformed, claim.BadRequest:
		return http.StatusBadRequest
	case claim.NoClaim:
		return http.StatusNotFound
	}
	return http.StatusForbidden
}

func (r *Registrar) write(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		r.log.Error("enrolment: an answer was not encoded", "error", err)
		status, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		r.log.Debug("enrolment: an answer was not sent", "error", err)
	}
}

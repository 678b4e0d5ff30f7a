package station

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"tapward/gateway"
	"tapward/gateway/policy"
)

// badRequest is a request that cannot be understood, in words.
type badRequest struct{ words string }

func (b badRequest) Error() string { return b.words }

// statusOf is the one place where an error becomes a status.
func statusOf(err error) int {
	if refusal := (*gateway.Refusal)(nil); errors.As(err, &refusal) {
		return refusalStatus(refusal.Reason)
	}
	switch {
	case is[*http.MaxBytesError](err):
		return http.StatusRequestEntityTooLarge
	case is[badRequest](err):
		return http.StatusBadRequest
	case is[policy.Problems](err):
		return http.StatusUnprocessableEntity
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func refusalStatus(why gateway.Reason) int {
	switch why {
	case gateway.Incomplete:
		return http.StatusBadRequest
	case gateway.UnknownReader, gateway.UnknownPhone:
		return http.StatusNotFound
	case gateway.StorageLow, gateway.StorageExhausted:
		return http.StatusInsufficientStorage
	}
	return http.StatusConflict
}

func is[T error](err error) bool {
	var t T
	return errors.As(err, &t)
}

// wordsOf is what the caller is told. The box's own troubles are told as they are: whoever may act may know.
func wordsOf(err error) string {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "the request is too large"
	case errors.Is(err, context.DeadlineExceeded):
		return "the box did not answer in time; look at the station whether it happened"
	case errors.Is(err, context.Canceled):
		return "the box is stopping; look at the station whether it happened"
	}
	return err.Error()
}

// problem is the body of every refusal.
type problem struct {
	Error string `json:"error"`
}

func writeProblem(w http.ResponseWriter, status int, words string) {
	writeJSON(w, status, problem{words})
}

// writeJSON answers with a value of ours, which always encodes. A client that went away is no concern.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

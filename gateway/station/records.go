package station

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// Records reads the box's audit log.
type Records interface {
	// Backwards gives the records that match, newest first. An error ends it.
	Backwards(ctx context.Context, f audit.Filter) iter.Seq2[audit.Sealed, error]
}

// recordLine is one line of the answer to GET /v1/log: a record as it stands in the log, or how the answer ended. An
// answer without an end was cut short.
type recordLine struct {
	Record *audit.Sealed `json:"record,omitempty"`
	End    bool          `json:"end,omitempty"`
	Error  string        `json:"error,omitempty"`
}

// listing bounds the time that a listing may take.
const listing = 5 * time.Minute

// getLog sends the records that match, newest first, until the client has enough and goes away.
func (s *Station) getLog(w http.ResponseWriter, r *http.Request) {
	filter, err := readFilter(r.URL.Query())
	if err != nil {
		writeProblem(w, statusOf(err), wordsOf(err))
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(listing)) // without support the server's own holds
	w.Header().Set("Content-Type", "application/jsonl")
	out := json.NewEncoder(w)
	for record, err := range s.records.Backwards(r.Context(), filter) {
		if err != nil {
			_ = out.Encode(recordLine{End: true, Error: err.Error()})
			return
		}
		if out.Encode(recordLine{Record: &record}) != nil {
			return // the client has enough
		}
	}
	_ = out.Encode(recordLine{End: true})
}

// A filter's form in the query of GET /v1/log.
func writeFilter(f audit.Filter) url.Values {
	q := url.Values{}
	for key, value := range map[string]string{"phone": string(f.Phone), "reader": string(f.Reader), "kind": string(f.Kind)} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	return q
}

func readFilter(q url.Values) (f audit.Filter, err error) {
	for key := range q {
		switch value := q.Get(key); key {
		case "phone":
			f.Phone = gateway.PhoneID(value)
		case "reader":
			f.Reader = gateway.ReaderID(value)
		case "kind":
			f.Kind = gateway.RecordKind(value)
		case "since":
			if f.Since, err = time.Parse(time.RFC3339Nano, value); err != nil {
				return f, badRequest{"since: " + err.Error()}
			}
		default:
			return f, badRequest{fmt.Sprintf("records are not chosen by %q; phone, reader, kind and since are known", key)}
		}
	}
	return f, nil
}

// Backwards gives the box's records that match, newest first, as the box sends them; it may be left early.
func (c *Client) Backwards(ctx context.Context, f audit.Filter) iter.Seq2[audit.Sealed, error] {
	return func(yield func(audit.Sealed, error) bool) {
		body, err := c.call(ctx, http.MethodGet, "/v1/log?"+writeFilter(f).Encode(), nil)
		if err != nil {
			yield(audit.Sealed{}, err)
			return
		}
		defer body.Close()
		for in := json.NewDecoder(bufio.NewReader(body)); ; {
			var line recordLine
			if err := in.Decode(&line); err != nil {
				yield(audit.Sealed{}, fmt.Errorf("read the log: the box broke off: %w", err))
				return
			}
			switch {
			case line.Record != nil:
				if !yield(*line.Record, nil) {
					return
				}
			case line.Error != "":
				yield(audit.Sealed{}, errors.New(line.Error))
				return
			case line.End:
				return
			}
		}
	}
}

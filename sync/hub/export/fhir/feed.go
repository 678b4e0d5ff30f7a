package fhir

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"tapward/sync/hub/export"
)

// Feed feeds an audit repository.
type Feed struct {
	Endpoint export.Endpoint // Base is the FHIR base: AuditEvent and the batch lie directly under it
	// Post creates each event and lets the repository choose its id, as a plain ITI-20 actor does. A record whose answer
	// was lost is then there twice, with the same first entity. Without, each is a PUT to its own id, which may be repeated.
	Post bool
	// Single sends each event alone, to a repository that takes no batch.
	Single bool
}

const contentType = "application/fhir+json"

// Check says why the endpoint is set up wrong.
func (f *Feed) Check() error { return f.Endpoint.Check() }

// Confirms says that a repository answers for what it has.
func (*Feed) Confirms() bool { return true }

// Deliver sends a batch. Where the repository refuses the batch as such, it gets the events one by one.
func (f *Feed) Deliver(ctx context.Context, records []export.Record) ([]export.Answer, error) {
	if f.Single || len(records) == 1 {
		return export.OneByOne(ctx, records, f.send)
	}
	body, err := json.Marshal(f.bundle(records))
	if err != nil {
		return nil, err
	}
	reply, err := f.Endpoint.Send(ctx, http.MethodPost, "", contentType, body)
	if err != nil {
		return nil, err
	}
	if !reply.Taken() {
		return export.OneByOne(ctx, records, f.send)
	}
	return answers(reply.Body, len(records))
}

func (f *Feed) send(ctx context.Context, r export.Record) (export.Answer, error) {
	event := Event(r)
	request := f.request(&event)
	body, err := json.Marshal(event)
	if err != nil {
		return export.Answer{}, err
	}
	reply, err := f.Endpoint.Send(ctx, request.Method, "/"+request.URL, contentType, body)
	if err != nil || reply.Taken() {
		return export.Answer{}, err
	}
	var o outcome
	if json.Unmarshal(reply.Body, &o) == nil && o.words() != "" {
		return export.Refused(fmt.Sprintf("%d %s", reply.Status, o.words())), nil
	}
	return export.Refused(reply.Words()), nil
}

type bundle struct {
	ResourceType string  `json:"resourceType"`
	Type         string  `json:"type"`
	Entry        []entry `json:"entry"`
}

type entry struct {
	Resource AuditEvent `json:"resource"`
	Request  request    `json:"request"`
}

type request struct {
	Method string `json:"method"`
	URL    string `json:"url"`
}

func (f *Feed) bundle(records []export.Record) bundle {
	b := bundle{ResourceType: "Bundle", Type: "batch"}
	for _, r := range records {
		event := Event(r)
		request := f.request(&event)
		b.Entry = append(b.Entry, entry{event, request})
	}
	return b
}

// request is how one event goes out; one that is created has no id of ours.
func (f *Feed) request(e *AuditEvent) request {
	if f.Post {
		e.ID = ""
		return request{http.MethodPost, "AuditEvent"}
	}
	return request{http.MethodPut, "AuditEvent/" + e.ID}
}

// answers reads a batch-response, which has an entry for each of the batch, in order.
func answers(body []byte, count int) (all []export.Answer, err error) {
	var b struct {
		ResourceType, Type string
		Entry              []struct {
			Response struct {
				Status  string
				Outcome outcome
			}
		}
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("read the answer to a batch: %w", err)
	}
	if b.ResourceType != "Bundle" || b.Type != "batch-response" || len(b.Entry) != count {
		return nil, fmt.Errorf("the answer to a batch of %d is a %s %q of %d", count, b.ResourceType, b.Type, len(b.Entry))
	}
	for _, e := range b.Entry {
		code, _, _ := strings.Cut(e.Response.Status, " ")
		status, err := strconv.Atoi(code)
		words := strings.TrimSpace(e.Response.Status + " " + e.Response.Outcome.words())
		switch {
		case err != nil:
			return all, fmt.Errorf("an entry of the answer to a batch has the status %q", export.Line(e.Response.Status))
		case status/100 == 2:
			all = append(all, export.Answer{})
		case export.AboutRecord(status):
			all = append(all, export.Refused(words))
		default:
			return all, fmt.Errorf("an event of a batch: %s", export.Line(words))
		}
	}
	return all, nil
}

// outcome is an OperationOutcome: a receiver's own words.
type outcome struct {
	Issue []struct {
		Severity, Code, Diagnostics string
		Details                     struct{ Text string }
		Expression                  []string
	}
}

func (o outcome) words() string {
	var b bytes.Buffer
	for _, i := range o.Issue {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		fmt.Fprint(&b, strings.TrimSpace(i.Details.Text+" "+i.Diagnostics))
		if len(i.Expression) > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(i.Expression, ", "))
		}
	}
	return export.Line(b.String())
}

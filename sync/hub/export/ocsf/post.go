package ocsf

import (
	"context"
	"net/http"

	"tapward/sync/hub/export"
)

// Post posts events to a collector: many as one JSON array, or each alone as an object.
type Post struct {
	Endpoint export.Endpoint // Base is the whole URL
	Single   bool
}

// Check says why the endpoint is set up wrong.
func (p *Post) Check() error { return p.Endpoint.Check() }

// Confirms says that a collector answers for what it has.
func (*Post) Confirms() bool { return true }

const contentType = "application/json"

// Deliver posts. Where the collector refuses many, it gets them one by one, each an array of one.
func (p *Post) Deliver(ctx context.Context, records []export.Record) ([]export.Answer, error) {
	if p.Single || len(records) == 1 {
		return export.OneByOne(ctx, records, p.send)
	}
	body, err := array(records)
	if err != nil {
		return nil, err
	}
	reply, err := p.Endpoint.Send(ctx, http.MethodPost, "", contentType, body)
	if err != nil {
		return nil, err
	}
	if reply.Taken() {
		return make([]export.Answer, len(records)), nil
	}
	return export.OneByOne(ctx, records, p.send)
}

func (p *Post) send(ctx context.Context, r export.Record) (export.Answer, error) {
	body, err := array([]export.Record{r})
	if p.Single {
		body, err = Lines{}.Append(nil, r)
	}
	if err != nil {
		return export.Answer{}, err
	}
	reply, err := p.Endpoint.Send(ctx, http.MethodPost, "", contentType, body)
	if err != nil || reply.Taken() {
		return export.Answer{}, err
	}
	return export.Refused(reply.Words()), nil
}

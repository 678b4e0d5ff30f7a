package main

import (
	"context"
	"fmt"
	"strings"

	"tapward/gateway"
	"tapward/sync/hub/enrol"
	"tapward/sync/hub/journal"
	"tapward/sync/hub/release"
	"tapward/sync/uplink"
)

// AlarmLifted is the record of a person's word on an alarm.
const AlarmLifted gateway.RecordKind = "alarm.lifted"

// recordEnrolment puts a decision about a box into the hub's own log. One that is told twice is there twice, with the
// same number.
func (h *hub) recordEnrolment(ctx context.Context, e enrol.Event) error {
	subject := ""
	if s := e.Subject; s.ID != "" {
		subject = s.String()
	}
	return h.journal.Record(ctx, gateway.Record{
		Kind: gateway.RecordKind(e.Kind), At: e.At, Operator: e.Person, Words: e.Words,
		State: fmt.Sprintf("%d %s", e.ID, subject),
	})
}

// releaseEvents puts decisions about policies and revocations into the hub's own log.
type releaseEvents struct{ *journal.Journal }

// Record is release.Events'. Whom a decision is about can be erased: a person as whose record it is, all else as words.
func (e releaseEvents) Record(ctx context.Context, v release.Event) error {
	r := gateway.Record{Kind: gateway.RecordKind(v.Kind), At: v.At, Operator: v.Person, Words: v.Words, State: fmt.Sprint(v.ID)}
	if id, ok := strings.CutPrefix(v.Subject, string(uplink.Clinician)+" "); ok {
		r.Clinician = gateway.ClinicianID(id)
	} else if v.Subject != "" {
		r.Words = v.Subject + ": " + v.Words
	}
	return e.Journal.Record(ctx, r)
}

// enrolled are the boxes that releases go out to.
type enrolled struct{ *enrol.Registrar }

// Boxes is release.Boxes'.
func (e enrolled) Boxes(ctx context.Context) ([]release.Box, error) {
	members, err := e.Members(ctx)
	if err != nil {
		return nil, err
	}
	var boxes []release.Box
	for _, m := range members {
		if a, ok := addressOf(m.Subject); ok && m.Revoked.IsZero() {
			boxes = append(boxes, release.Box{ID: a.Box, Ward: m.Ward})
		}
	}
	return boxes, nil
}

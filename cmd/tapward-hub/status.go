package main

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"tapward/gateway"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/enrol"
	"tapward/sync/hub/ingest"
)

// maxListed bounds every list of the local API.
const maxListed = 1000

// status is how the hub is.
type status struct {
	Site       string              `json:"site"`
	Started    time.Time           `json:"started"`
	CA         gateway.Fingerprint `json:"ca"`
	Connected  bool                `json:"connected"`  // to the broker
	Durability string              `json:"durability"` // of the broker, in words
	Ingest     ingest.Counts       `json:"ingest"`
	Boxes      int                 `json:"boxes"`   // let in and not revoked
	Claims     int                 `json:"claims"`  // that wait for a person
	Alarms     int                 `json:"alarms"`  // open
	Records    int64               `json:"records"` // archived, of all boxes and epochs
	Gaps       int                 `json:"gaps"`    // in the archive, when it was last looked through: must be none
	Looked     time.Time           `json:"looked"`
	Loud       []string            `json:"loud,omitempty"`
}

func (h *hub) status(ctx context.Context) (status, error) {
	d := h.broker.Durability()
	s := status{
		Site: h.config.Site, Started: h.started, CA: h.keys.ca.Fingerprint(),
		Connected: h.broker.Connected(), Durability: d.String(), Ingest: h.ingest.Counts(),
	}
	for _, a := range h.broker.Over() {
		s.Loud = append(s.Loud, "box "+a.String()+" has sent more than its share of a day and may send nothing until it is over")
	}
	members, err := h.members.Members(ctx)
	if err != nil {
		return s, err
	}
	for _, m := range members {
		if m.Revoked.IsZero() {
			s.Boxes++
		}
	}
	pending, err := h.members.Pending(ctx)
	if err != nil {
		return s, err
	}
	s.Claims = len(pending)
	alarms, err := h.archive.Incidents(ctx, false, maxListed)
	if err != nil {
		return s, err
	}
	s.Alarms = len(alarms)
	origins, err := h.archive.Origins(ctx)
	if err != nil {
		return s, err
	}
	for _, o := range origins {
		s.Records += o.Size
	}
	s.Gaps, s.Looked = h.gaps.get()
	return s, nil
}

// gapLook is what the last look through the whole archive found; a look takes a while, so that nobody waits for one.
type gapLook struct {
	mu     sync.Mutex
	gaps   int
	looked time.Time
}

func (g *gapLook) get() (int, time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.gaps, g.looked
}

// gapsEvery is how often the archive is looked through.
const gapsEvery = time.Hour

// countGaps looks through the archive at start and every hour, until ctx ends.
func (h *hub) countGaps(ctx context.Context) error {
	tick := time.NewTicker(gapsEvery)
	defer tick.Stop()
	for {
		gaps, err := h.archive.Gaps(ctx)
		if err != nil && ctx.Err() == nil {
			h.log.Warn("Cannot look through the archive for gaps", "err", err)
		}
		if err == nil {
			h.gaps.mu.Lock()
			h.gaps.gaps, h.gaps.looked = len(gaps), time.Now()
			h.gaps.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// box is one that was let in, with what of its log is archived.
type box struct {
	enrol.Member
	Logs []archive.Standing
}

func (h *hub) boxes(ctx context.Context) ([]box, error) {
	members, err := h.members.Members(ctx)
	if err != nil {
		return nil, err
	}
	origins, err := h.archive.Origins(ctx)
	if err != nil {
		return nil, err
	}
	var boxes []box
	for _, m := range members {
		a, ok := addressOf(m.Subject)
		if !ok {
			continue
		}
		b := box{Member: m}
		for _, o := range origins {
			if o.Address == a {
				b.Logs = append(b.Logs, o)
			}
		}
		boxes = append(boxes, b)
	}
	slices.SortFunc(boxes, func(a, b box) int { return cmp.Compare(a.Subject.ID, b.Subject.ID) })
	return boxes, nil
}

// logLine is a record of the archive as people read it.
type logLine struct {
	At        time.Time           `json:"at"`
	Box       gateway.BoxID       `json:"box"`
	Epoch     uint32              `json:"epoch"`
	Index     int64               `json:"index"`
	Kind      gateway.RecordKind  `json:"kind"`
	Phone     gateway.PhoneID     `json:"phone,omitempty"`
	Clinician gateway.ClinicianID `json:"clinician,omitempty"`
	Operator  string              `json:"operator,omitempty"`
	State     string              `json:"state,omitempty"`
	Words     string              `json:"words,omitempty"`
	Reasons   []gateway.Reason    `json:"reasons,omitempty"`
	Forgotten int                 `json:"forgotten,omitempty"`
}

func newLogLine(a archive.Archived) logLine {
	r := a.Leaf.Entry.Record
	return logLine{
		At: a.Leaf.Entry.At, Box: a.Origin.Box, Epoch: a.Origin.Epoch, Index: a.Leaf.Index, Kind: r.Kind, Phone: r.Phone,
		Clinician: r.Clinician, Operator: r.Operator, State: r.State, Words: r.Words, Reasons: r.Reasons, Forgotten: len(a.Forgotten),
	}
}

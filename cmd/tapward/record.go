package main

import (
	"fmt"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// clockMarks stand behind a time: how far it may be believed.
var clockMarks = map[audit.Clock]string{
	audit.Synchronised:    "(clock synchronised)",
	audit.NotSynchronised: "(clock NOT synchronised)",
	audit.ClockUnknown:    "(clock unknown)",
}

// sentence is a record in one line. People are in it only where an opening names them.
func sentence(r audit.Revealed) string {
	e, rec := r.Entry, r.Entry.Record
	var b strings.Builder
	fmt.Fprintf(&b, "%d/%-6d %s %-24s %-18s", r.Epoch, r.Index, e.At.Local().Format("2006-01-02 15:04:05.000"), clockMarks[e.Clock], rec.Kind)
	say := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s=%s", key, plain(value))
		}
	}
	number := func(key string, n uint64) {
		if n != 0 {
			say(key, fmt.Sprint(n))
		}
	}
	say("phone", string(rec.Phone))
	say("reader", string(rec.Reader))
	say("who", string(rec.Clinician))
	say("previous", string(rec.Previous))
	say("state", rec.State)
	say("reasons", join(rec.Reasons))
	number("custody", uint64(rec.Custody))
	number("fence", uint64(rec.Fence))
	say("source", string(rec.Origin))
	say("by", rec.Operator)
	say("took", took(rec.Durations))
	if rec.Words != "" {
		say("words", fmt.Sprintf("%q", rec.Words))
	}
	if rec.Receipt != "" {
		say("receipt", "signed")
	}
	if !e.PolicySigned && !rec.Policy.IsZero() {
		say("policy", "unsigned-demo")
	}
	for _, f := range r.Forgotten {
		say(string(f), "(forgotten)")
	}
	return b.String()
}

func join(reasons []gateway.Reason) string {
	var words []string
	for _, r := range reasons {
		words = append(words, string(r))
	}
	return strings.Join(words, ",")
}

// steps are the parts of a tap in their order.
func steps(d gateway.Durations) []struct {
	name string
	took time.Duration
} {
	return []struct {
		name string
		took time.Duration
	}{
		{"read", d.Read}, {"identify", d.Identify}, {"decide", d.Decide}, {"choose", d.Choose},
		{"commit", d.Commit}, {"notify", d.Notify}, {"confirmed", d.Confirmed}, {"first-use", d.FirstUse},
	}
}

func took(d gateway.Durations) string {
	var words []string
	for _, s := range steps(d) {
		if s.took != 0 {
			words = append(words, fmt.Sprintf("%s:%s", s.name, s.took.Round(10*time.Microsecond)))
		}
	}
	return strings.Join(words, ",")
}

// record is a record as JSON.
type record struct {
	Epoch        uint32             `json:"epoch"`
	Index        int64              `json:"index"`
	Kind         gateway.RecordKind `json:"kind"`
	At           time.Time          `json:"at"`      // of the commit
	Happened     time.Time          `json:"edge_at"` // at the edge
	Clock        audit.Clock        `json:"clock"`
	Boot         uint64             `json:"boot"`
	Uptime       float64            `json:"uptime_s"`
	Machine      string             `json:"machine"`
	Phone        gateway.PhoneID    `json:"phone,omitempty"`
	Reader       gateway.ReaderID   `json:"reader,omitempty"`
	Origin       gateway.Origin     `json:"source,omitempty"`
	Clinician    string             `json:"clinician,omitempty"`
	Previous     string             `json:"previous,omitempty"`
	State        string             `json:"state,omitempty"`
	Reasons      []gateway.Reason   `json:"reasons,omitempty"`
	Custody      gateway.Custody    `json:"custody,omitempty"`
	Fence        gateway.Fence      `json:"fence,omitempty"`
	Grant        gateway.Digest     `json:"grant,omitzero"`
	Policy       gateway.Digest     `json:"policy,omitzero"`
	PolicySigned bool               `json:"policy_signed"`
	Assurance    gateway.Assurance  `json:"assurance"`
	Durations    map[string]float64 `json:"durations_ms,omitempty"`
	Operator     string             `json:"operator,omitempty"`
	Words        string             `json:"words,omitempty"`
	Receipt      string             `json:"receipt,omitempty"`
	Forgotten    []audit.Field      `json:"forgotten,omitempty"`
	Prior        string             `json:"prior_checkpoint,omitempty"` // epoch.opened: what contradicted the log
}

func newRecord(r audit.Revealed) record {
	e, rec := r.Entry, r.Entry.Record
	out := record{
		Epoch: r.Epoch, Index: r.Index, Kind: rec.Kind, At: e.At, Happened: rec.At, Clock: e.Clock, Boot: e.Boot,
		Uptime: e.Uptime.Seconds(), Machine: e.Machine, Phone: rec.Phone, Reader: rec.Reader, Origin: rec.Origin,
		Clinician: string(rec.Clinician), Previous: string(rec.Previous), State: rec.State, Reasons: rec.Reasons,
		Custody: rec.Custody, Fence: rec.Fence, Grant: rec.Grant, Policy: rec.Policy, PolicySigned: e.PolicySigned,
		Assurance: rec.Assurance, Operator: rec.Operator, Words: rec.Words, Receipt: rec.Receipt, Forgotten: r.Forgotten,
		Prior: e.Prior,
	}
	for _, s := range steps(rec.Durations) {
		if s.took != 0 {
			if out.Durations == nil {
				out.Durations = map[string]float64{}
			}
			out.Durations[s.name] = float64(s.took) / float64(time.Millisecond)
		}
	}
	return out
}

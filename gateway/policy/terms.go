package policy

import (
	"time"

	"tapward/gateway"
)

// A term is one duration of a class: its key in the document, its bounds, and where it lies in gateway.Terms.
type term struct {
	key      string
	min, max time.Duration
	of       func(*gateway.Terms) *time.Duration
}

// terms are all of them, in the order of gateway.Terms and of docs/policy.md, which a test holds equal to this table.
var terms = []term{
	{"lease", 10 * time.Second, 12 * time.Hour, func(t *gateway.Terms) *time.Duration { return &t.Lease }},
	{"idle", 10 * time.Second, 12 * time.Hour, func(t *gateway.Terms) *time.Duration { return &t.Idle }},
	{"limit", 30 * time.Second, 24 * time.Hour, func(t *gateway.Terms) *time.Duration { return &t.Limit }},
	{"drift", time.Second, 5 * time.Minute, func(t *gateway.Terms) *time.Duration { return &t.Drift }},
	{"bind", time.Second, 30 * time.Second, func(t *gateway.Terms) *time.Duration { return &t.Bind }},
	{"release", time.Second, time.Minute, func(t *gateway.Terms) *time.Duration { return &t.Release }},
	{"pickup", 2 * time.Second, 10 * time.Minute, func(t *gateway.Terms) *time.Duration { return &t.Pickup }},
	{"return", time.Second, time.Minute, func(t *gateway.Terms) *time.Duration { return &t.Return }},
}

var defaultTerms = map[gateway.Class]gateway.Terms{
	gateway.Convenience: {
		Lease: 60 * time.Minute, Idle: 15 * time.Minute, Limit: 12 * time.Hour, Drift: 10 * time.Second,
		Bind: 5 * time.Second, Release: 10 * time.Second, Pickup: time.Minute, Return: 10 * time.Second,
	},
	gateway.Workflow: {
		Lease: 30 * time.Minute, Idle: 5 * time.Minute, Limit: 12 * time.Hour, Drift: 10 * time.Second,
		Bind: 5 * time.Second, Release: 10 * time.Second, Pickup: time.Minute, Return: 10 * time.Second,
	},
	gateway.Privileged: {
		Lease: 10 * time.Minute, Idle: 2 * time.Minute, Limit: 2 * time.Hour, Drift: 10 * time.Second,
		Bind: 5 * time.Second, Release: 10 * time.Second, Pickup: 30 * time.Second, Return: 10 * time.Second,
	},
}

// defaultLeast is what a tap must prove where the document says nothing: a badge was read.
var defaultLeast = gateway.Assurance{Card: gateway.CardNumber, Holder: gateway.HolderNone}
